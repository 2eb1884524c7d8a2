# serve and test are all that a newcomer needs; the rest is for developers. HOST=, PORT=, REPOSITORY= are honored.

PYTHON     ?= python3
HOST       ?= 127.0.0.1
PORT       ?= 8000
REPOSITORY ?= repository
# Where an NVIDIA driver answers, the gpu extra; otherwise cpu. Never both: they install the same module.
RUNTIME    ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)

BIN       := .venv/bin
INSTALLED := .venv/installed-$(RUNTIME)

.PHONY: help install serve test test-slow check format bench gpu-check examples constraints clean cluster test-cluster image smoke sbom audit wheel

help:
	@echo "make serve      install, train and convert the embedded default, serve it on http://$(HOST):$(PORT)"
	@echo "make test       install, run everything that needs no GPU and no outside network"
	@echo "make test-slow  what takes too long for every change (ONLY=part: only tests whose names hold that word)"
	@echo "make check      lint, format and types, as CI does"
	@echo "make format     mend what the linter can mend"
	@echo "make bench      load the service with wrk, beside what this process does without it (BENCH=\"--peers all\": and other servers)"
	@echo "make gpu-check  prove the service on an NVIDIA GPU, in pieces; installs nothing (docs/gpu.md; GPU_CHECK=\"a c\": some pieces)"
	@echo "make cluster    the same service under Ray Serve, on this machine (docs/cluster.md)"
	@echo "make image      container images, and their sizes"
	@echo "make smoke      build the images, docker compose up, post a digit, check, tear down"
	@echo "make wheel      dist/convserve-*.whl, of the tracked files alone; it serves without a checkout"
	@echo "make sbom       what the serve image is made of, as CycloneDX; make audit: known vulnerabilities"
	@echo "make examples   digit.png and photo.jpg, for the README's commands"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.version_info >= (3, 14))' || \
	  { echo "TensorFlow needs Python 3.11, 3.12 or 3.13, $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=python3.11 ..."; exit 1; }
	@echo "== installing into .venv (runtime: $(RUNTIME)); TensorFlow is large, this takes a minute or two"
	@$(PYTHON) -m venv --clear .venv || \
	  { echo "python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --disable-pip-version-check -q --progress-bar on -c constraints.txt -e '.[$(RUNTIME),export,log,grpc,cloud,dev]'
	@touch $@

serve: $(INSTALLED)
	@$(BIN)/convserve-export build quickstart --if-missing --repository $(REPOSITORY)
	@echo "== serving $(REPOSITORY) on http://$(HOST):$(PORT)   (Ctrl-C stops it)"
	@echo "== in another terminal:  . .venv/bin/activate   and convserve and convserve-export are commands there"
	@exec $(BIN)/convserve serve --repository $(REPOSITORY) --host $(HOST) --port $(PORT)

test: $(INSTALLED)
	$(BIN)/pytest $(PYTEST_ARGS)

# What takes too long for every change. ONLY=part runs the tests whose names hold that word.
test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow $(if $(ONLY),-k '$(ONLY)') $(PYTEST_ARGS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	$(BIN)/python -m bench.load $(BENCH)

# Installs nothing, so that it runs on a rented machine: by .venv where there is one and PYTHON isn't named, else by PYTHON.
# On a CPU it only keeps the check from rotting: small networks, measured anew each time.
GPU_PYTHON = $(if $(filter file,$(origin PYTHON)),$(or $(wildcard $(BIN)/python),$(PYTHON)),$(PYTHON))

gpu-check:
ifeq ($(RUNTIME),cpu)
	@$(GPU_PYTHON) -m bench.gpu prepare --runtime cpu
	@$(GPU_PYTHON) -m bench.gpu --runtime cpu --again all $(GPU_CHECK)
else
	@$(GPU_PYTHON) -m bench.gpu $(GPU_CHECK)
endif

examples: $(INSTALLED)
	@$(BIN)/python docs/examples.py

# Exact versions for every Python and platform that pyproject.toml allows, without index addresses.
constraints: $(INSTALLED)
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --no-header --no-annotate \
	  --no-emit-index-url --upgrade pyproject.toml -o constraints.txt

# Ray brings a hundred packages that nothing else here needs: an environment of its own.
RAY_BIN   := .venv-ray/bin
RAY_READY := .venv-ray/installed-$(RUNTIME)
# On one machine no load balancer has to notice that a replica leaves: it needn't linger for 30 s.
RAY_TUNED  = $(shell grep ^RAY_ deploy/ray.env) RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=1
CLUSTER   ?= deploy/cluster.yaml

$(RAY_READY): pyproject.toml constraints.txt
	@echo "== installing Ray into .venv-ray (runtime: $(RUNTIME))"
	@$(PYTHON) -m venv --clear .venv-ray
	$(RAY_BIN)/pip install --disable-pip-version-check -q --progress-bar on -c constraints.txt -e '.[$(RUNTIME),ray,cloud]' onnx pytest pytest-timeout
	@touch $@

cluster: $(RAY_READY) $(INSTALLED)
	@$(BIN)/convserve-export build quickstart --if-missing --repository $(REPOSITORY)
	@$(RAY_BIN)/python -m deploy.check_cluster $(CLUSTER)
	@echo "== starting Ray and the service   (Ctrl-C stops both)"
	@exec env $(RAY_TUNED) $(RAY_BIN)/serve run $(CLUSTER)

test-cluster: $(RAY_READY)
	$(RAY_BIN)/pytest -s tests/deploy/test_ray_cluster.py tests/deploy/test_cluster_file.py tests/deploy/test_batch.py tests/deploy/test_ray_batch.py

VERSION  := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LABELS    = --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION)
# What the serve image can do besides HTTP; EXTRAS= makes it smaller.
EXTRAS   ?= grpc,cloud
comma    := ,

image:
	docker build --target serve --build-arg RUNTIME=$(RUNTIME) --build-arg EXTRAS=$(EXTRAS) $(LABELS) -t convserve:$(RUNTIME) .
	docker build --target export $(LABELS) -t convserve-export .
	@$(PYTHON) -m deploy.image_sizes convserve:$(RUNTIME) convserve-export

smoke:
	$(PYTHON) -m deploy.smoke

# Built from a copy of the tracked files: what lies about in a checkout (an old build/ above all) would be packed too.
wheel: $(INSTALLED)
	@rm -rf build/wheel && mkdir -p build/wheel dist
	@git ls-files -z | xargs -0 cp --parents -t build/wheel
	@$(BIN)/pip wheel --disable-pip-version-check -q --no-deps --no-build-isolation --wheel-dir dist build/wheel
	@ls dist/convserve-$(VERSION)-*.whl

# What the serve image holds, and nothing else: listed from an environment made as the image's is.
sbom: build/audit/ready
	@rm -rf build/serve && $(PYTHON) -m venv --without-pip build/serve
	@build/audit/bin/pip --python build/serve install --disable-pip-version-check -q -c constraints.txt '.[$(RUNTIME)$(addprefix $(comma),$(EXTRAS))]'
	@build/audit/bin/cyclonedx-py environment --pyproject pyproject.toml --of JSON -o build/sbom-$(RUNTIME).json build/serve
	@echo "wrote build/sbom-$(RUNTIME).json"

audit: build/audit/ready
	@build/audit/bin/python -m deploy.audit constraints.txt

build/audit/ready: Makefile
	@$(PYTHON) -m venv --clear build/audit
	@build/audit/bin/pip install --disable-pip-version-check -q 'cyclonedx-bom>=7' 'pip-audit>=2.10'
	@touch $@

clean:
	rm -rf .venv .venv-ray runs $(REPOSITORY) build dist *.egg-info
