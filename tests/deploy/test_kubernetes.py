from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from app.observe.families import FAMILIES
from app.settings import Settings
from tests.makers.deploy_files import read_manifests

# The oldest and the newest release that its project maintains, at the time of writing.
RELEASES = ("1.33", "1.36")
MANIFESTS = read_manifests()
PLAIN = [(name, document) for name, document in MANIFESTS if not document["apiVersion"].startswith("serving.kserve.io")]
(INFERENCE_SERVICE,) = (document for _, document in MANIFESTS if document["kind"] == "InferenceService")

# What KServe v1beta1 adds to a pod's specification in `predictor`, as far as one may want it here.
KSERVE_COMPONENT = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "minReplicas": {"type": "integer", "minimum": 0},
        "maxReplicas": {"type": "integer", "minimum": 1},
        "scaleTarget": {"type": "integer", "minimum": 1},
        "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
        "containerConcurrency": {"type": "integer", "minimum": 0},
        "timeout": {"type": "integer", "minimum": 1},
        "canaryTrafficPercent": {"type": "integer", "minimum": 0, "maximum": 100},
    },
}


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (document for _, document in MANIFESTS if document["kind"] == kind)
    return found


def servers() -> list[dict[str, Any]]:
    """The pod specifications of what serves."""
    return [of_kind("Deployment")["spec"]["template"]["spec"], INFERENCE_SERVICE["spec"]["predictor"]]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("name", "document"), PLAIN, ids=[f"{n}-{d['kind']}" for n, d in PLAIN])
def test_manifests_fit_the_schema(name: str, document: dict[str, Any], release: str) -> None:
    kubernetes_validate.validate(document, release, strict=True)


@pytest.mark.parametrize("release", RELEASES)
def test_the_inference_service_is_a_pod_with_known_additions(release: str) -> None:
    assert set(INFERENCE_SERVICE) == {"apiVersion", "kind", "metadata", "spec"}
    assert INFERENCE_SERVICE["apiVersion"] == "serving.kserve.io/v1beta1"
    assert set(INFERENCE_SERVICE["spec"]) == {"predictor"}
    predictor = INFERENCE_SERVICE["spec"]["predictor"]
    added = {key: value for key, value in predictor.items() if key in KSERVE_COMPONENT["properties"]}
    jsonschema.validate(added, KSERVE_COMPONENT)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}}
    pod["spec"] = {key: value for key, value in predictor.items() if key not in added}
    kubernetes_validate.validate(pod, release, strict=True)


def test_kserve_is_told_that_we_speak_v2() -> None:
    (container,) = INFERENCE_SERVICE["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"
    assert {"name": "PROTOCOL", "value": "v2"} in container["env"]


def test_the_schema_refuses_a_misspelled_field() -> None:
    broken = {**of_kind("Service"), "spec": {"selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, RELEASES[-1], strict=True)


def test_pods_are_killed_only_after_the_drain() -> None:
    for pod in servers():
        (container,) = pod["containers"]
        drain = {entry["name"]: entry["value"] for entry in container["env"]}["CONVSERVE_DRAIN_TIMEOUT_S"]
        assert pod["terminationGracePeriodSeconds"] > int(drain) + 10, "10 s are preStop's"


def test_pods_run_without_root_and_write_only_to_tmp() -> None:
    pods = [*servers(), of_kind("Job")["spec"]["template"]["spec"]]
    for pod in pods:
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "its variables have the names of settings"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_every_setting_exists() -> None:
    names = [entry["name"] for pod in servers() for entry in pod["containers"][0]["env"]]
    ours = {name.removeprefix("CONVSERVE_").lower() for name in names if name.startswith("CONVSERVE_")}
    assert ours <= set(Settings.model_fields)


def test_grpc_has_one_port_from_the_service_to_the_setting() -> None:
    (container,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    (setting,) = (entry["value"] for entry in container["env"] if entry["name"] == "CONVSERVE_GRPC_PORT")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["grpc"] == container["readinessProbe"]["grpc"]["port"] == int(setting)
    assert {port["targetPort"] for port in of_kind("Service")["spec"]["ports"]} == ports.keys()


def test_it_scales_on_rows_that_wait() -> None:
    (metric,) = of_kind("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in FAMILIES


def test_objects_find_each_other_by_label() -> None:
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert of_kind("Service")["spec"]["selector"] == labels
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("Deployment")["spec"]["selector"]["matchLabels"] == labels


def test_the_export_job_gets_a_label_of_its_own() -> None:
    """Else the service would send requests to it."""
    template = of_kind("Job")["spec"]["template"]
    assert template.get("metadata", {}).get("labels") != of_kind("Service")["spec"]["selector"]
