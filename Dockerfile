# Two images: `serve` answers requests (no TensorFlow, no compiler), `export` trains, converts and proves.
#
#   docker build --target serve .                          CPU
#   docker build --target serve --build-arg EXTRAS=grpc .  with an extra of pyproject.toml, or several: a,b
#   docker build --target serve --build-arg RUNTIME=gpu .  NVIDIA; CUDA comes as wheels, so the base stays the same
#   docker build --target export .
#
# Dependencies are installed before the code is copied, and the code is a layer of its own: a change of code
# rebuilds, pushes and pulls kilobytes. No cache mounts, no heredocs: a plain builder works as well.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1

# -- dependencies: a virtual environment without pip, filled by the base image's pip -------------------------------
FROM base AS tools
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/venv
# The license too: a wheel carries it.
COPY pyproject.toml constraints.txt README.md LICENSE ./
# So that building the code needs no network: see `serve-code`.
RUN pip install -c constraints.txt setuptools

# The project itself is installed here without its code, for its dependencies only, and taken out again.
FROM tools AS serve-dependencies
ARG RUNTIME=cpu
ARG EXTRAS=
RUN case "$RUNTIME" in cpu|gpu) ;; *) echo "RUNTIME is cpu or gpu, not '$RUNTIME'" >&2; exit 1 ;; esac \
 && pip --python /opt/venv install -c constraints.txt ".[$RUNTIME${EXTRAS:+,$EXTRAS}]" \
 && pip --python /opt/venv uninstall -y convserve

FROM tools AS export-dependencies
RUN pip --python /opt/venv install -c constraints.txt ".[cpu,export]" \
 && pip --python /opt/venv uninstall -y convserve

# -- code: installed under /package, to be laid over the environment ------------------------------------------------
FROM serve-dependencies AS serve-code
COPY artifact artifact
COPY app app
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/venv install --no-deps --no-index --root /package /wheels/*.whl \
 && rm /package/opt/venv/bin/convserve-export

FROM export-dependencies AS export-code
COPY artifact artifact
COPY models models
COPY export export
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/venv install --no-deps --no-index --root /package /wheels/*.whl \
 && rm /package/opt/venv/bin/convserve

# -- what both images share: one user with a fixed number, who owns the repository's volume --------------------------
FROM base AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin convserve \
 && install -d -o 10001 -g 10001 /repository
# Nothing is written outside the repository and /tmp: the root file system may be read-only.
ENV HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    CONVSERVE_REPOSITORY=/repository
WORKDIR /tmp
VOLUME /repository

# -- export -----------------------------------------------------------------------------------------------------------
FROM runtime AS export
COPY --from=export-dependencies /opt/venv /opt/venv
COPY --from=export-code /package /
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="convserve-export" \
      org.opencontainers.image.description="Trains or loads Keras classifiers, converts them to ONNX and proves it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
USER 10001:10001
ENTRYPOINT ["convserve-export"]
CMD ["build", "quickstart", "--if-missing", "--repository", "/repository", "--runs", "/tmp/runs"]

# -- serve, the last and so the default ----------------------------------------------------------------------------------
FROM runtime AS serve
COPY --from=serve-dependencies /opt/venv /opt/venv
COPY deploy/healthcheck.py /opt/healthcheck.py
COPY --from=serve-code /package /
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="convserve" \
      org.opencontainers.image.description="Serves image classifiers over HTTP from ONNX Runtime sessions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# SageMaker may then choose the port (SAGEMAKER_BIND_TO_PORT).
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
# The NVIDIA container runtime reads these; without it they mean nothing.
ENV CONVSERVE_HOST=0.0.0.0 \
    CONVSERVE_PORT=8000 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-I", "/opt/healthcheck.py"]
ENTRYPOINT ["convserve"]
CMD ["serve"]
