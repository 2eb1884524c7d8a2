"""The runtime and the overlay in deploy/kubernetes/kserve. Both were held against KServe's own CRDs (of August 2026)
when they were written, with unknown fields refused; of these two megabytes only what is used here is repeated.
"""

import shutil
import subprocess
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from app.settings_sources import load_settings
from tests.makers.deploy_files import read_yaml
from tests.makers.sources import ROOT

FOLDER = "deploy/kubernetes/kserve"
RUNTIME = read_yaml(f"{FOLDER}/serving-runtime.yaml")
SERVICE = read_yaml(f"{FOLDER}/inference-service.yaml")
(CONTAINER,) = RUNTIME["spec"]["containers"]

FORMAT = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "autoSelect": {"type": "boolean"},
        "priority": {"type": "integer", "minimum": 1},
    },
}
RUNTIME_SPEC = {
    "type": "object",
    "required": ["containers"],
    "additionalProperties": False,
    "properties": {
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "supportedModelFormats": {"type": "array", "items": FORMAT},
        "protocolVersions": {"type": "array", "items": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}},
        "containers": {"type": "array"},
        "volumes": {"type": "array"},
    },
}
MODEL = {
    "type": "object",
    "required": ["modelFormat"],
    "additionalProperties": False,
    "properties": {
        "modelFormat": {"type": "object", "required": ["name"]},
        "protocolVersion": {"type": "string"},
        "storageUri": {"type": "string", "pattern": "^(pvc|s3|gs|oci|https)://"},
    },
}


def test_the_runtime_is_a_pod_with_known_additions() -> None:
    assert (RUNTIME["apiVersion"], RUNTIME["kind"]) == ("serving.kserve.io/v1alpha1", "ClusterServingRuntime")
    jsonschema.validate(RUNTIME["spec"], RUNTIME_SPEC)
    spec = {key: RUNTIME["spec"][key] for key in ("containers", "volumes")}
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runtime"}, "spec": spec}
    kubernetes_validate.validate(pod, "1.36", strict=True)
    assert CONTAINER["name"] == "kserve-container"


def test_the_service_selects_the_runtime() -> None:
    model = SERVICE["spec"]["predictor"]["model"]
    jsonschema.validate(model, MODEL)
    (offered,) = RUNTIME["spec"]["supportedModelFormats"]
    assert model["modelFormat"]["name"] == offered["name"]
    assert offered["autoSelect"]
    assert model["protocolVersion"] in RUNTIME["spec"]["protocolVersions"]


def test_the_arguments_are_settings() -> None:
    command, *flags = [argument.replace("{{.Name}}", SERVICE["metadata"]["name"]) for argument in CONTAINER["args"]]
    settings = load_settings(flags, environment=False)
    assert (command, str(settings.repository), settings.model_name) == ("serve", "/mnt/models", "lenet5")
    assert (settings.port, settings.grpc_port) == (8080, 9000)
    probes = [CONTAINER[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "readiness", "liveness")]
    assert probes == [settings.port] * 3


def test_pods_are_killed_only_after_the_drain() -> None:
    (drain,) = (entry["value"] for entry in CONTAINER["env"] if entry["name"] == "CONVSERVE_DRAIN_TIMEOUT_S")
    assert SERVICE["spec"]["predictor"]["terminationGracePeriodSeconds"] > int(drain)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl, which holds kustomize")
def test_the_overlay_builds() -> None:
    built = subprocess.run(["kubectl", "kustomize", ROOT / FOLDER], capture_output=True, text=True, check=True)
    kinds = {document["kind"] for document in yaml.safe_load_all(built.stdout)}
    assert kinds == {"InferenceService", "ClusterServingRuntime"}
