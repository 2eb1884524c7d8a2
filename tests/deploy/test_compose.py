import pytest

from app.settings import Settings
from tests.makers.deploy_files import read_yaml, seconds
from tests.makers.sources import ROOT

SERVICES = read_yaml("docker-compose.yml")["services"]
GPU = read_yaml("docker-compose.gpu.yml")["services"]
GRPC = read_yaml("docker-compose.grpc.yml")["services"]


def test_the_service_starts_after_the_export_succeeded() -> None:
    assert SERVICES["serve"]["depends_on"]["export"]["condition"] == "service_completed_successfully"


def test_no_service_but_the_export_ends_by_itself() -> None:
    """`docker compose up --wait` fails where a service ends that no other one waits for the end of."""
    awaited = {
        name
        for service in SERVICES.values()
        for name, how in (service["depends_on"].items() if isinstance(service.get("depends_on"), dict) else ())
        if how["condition"] == "service_completed_successfully"
    }
    assert awaited == {"export"}
    assert not [name for name, service in SERVICES.items() if "entrypoint" in service]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_read_only_and_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_that_works_has_a_memory_limit(name: str) -> None:
    assert SERVICES[name]["deploy"]["resources"]["limits"]["memory"]


def test_the_grace_period_is_longer_than_the_drain() -> None:
    drain = int(SERVICES["serve"]["environment"]["CONVSERVE_DRAIN_TIMEOUT_S"])
    assert seconds(SERVICES["serve"]["stop_grace_period"]) > drain


def test_every_setting_exists() -> None:
    names = [
        name
        for service in (*SERVICES.values(), *GPU.values(), *GRPC.values())
        for name in service.get("environment", {})
    ]
    ours = [name.removeprefix("CONVSERVE_").lower() for name in names if name.startswith("CONVSERVE_")]
    assert ours
    assert set(ours) <= set(Settings.model_fields)


def test_only_the_export_writes_the_repository() -> None:
    assert SERVICES["export"]["volumes"] == ["repository:/repository"]
    assert SERVICES["serve"]["volumes"] == ["repository:/repository:ro"]


def test_ports_are_open_to_this_machine_alone_unless_asked_otherwise() -> None:
    ports = [port for service in (*SERVICES.values(), *GRPC.values()) for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith(("127.0.0.1:", "${HOST:-127.0.0.1}:")) for port in ports)


def test_monitoring_comes_only_when_asked_for() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"prometheus", "grafana"}


def test_files_mounted_into_containers_are_there() -> None:
    sources = [v.split(":")[0] for service in SERVICES.values() for v in service.get("volumes", []) if v[0] == "."]
    assert sources
    assert all((ROOT / source).is_dir() for source in sources)


def test_grpc_comes_with_its_extra_and_its_port() -> None:
    assert SERVICES["serve"]["build"]["args"]["EXTRAS"] == "${EXTRAS:-grpc,cloud}"
    assert set(GRPC) == {"serve"}
    port = GRPC["serve"]["environment"]["CONVSERVE_GRPC_PORT"]
    assert GRPC["serve"]["ports"][0].endswith(f":{port}")


def test_gpus_come_with_the_gpu_image_and_no_silent_fallback() -> None:
    serve = GPU["serve"]
    assert serve["build"]["args"]["RUNTIME"] == "gpu"
    assert serve["image"] == "convserve:gpu"
    assert set(GPU) == {"serve"}
    assert serve["environment"]["CONVSERVE_DEVICE"] == "cuda"
    assert serve["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
