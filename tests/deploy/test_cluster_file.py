import importlib
import socket
from pathlib import Path

import pytest
import yaml

from tests.makers.artifacts import make_artifact
from tests.makers.deploy_files import read_yaml

pytest.importorskip("ray", reason="Ray isn't installed: make test-cluster has it in an environment of its own")

# Ray's own schemas use names that pydantic deprecated.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def plan(tmp_path: Path) -> dict:
    """cluster.yaml over a repository with one tiny model, on a free port."""
    make_artifact(tmp_path / "repository")
    plan = read_yaml("deploy/cluster.yaml")
    plan["applications"][0]["args"] |= {"repository": str(tmp_path / "repository"), "models": ["tiny"]}
    plan["http_options"]["port"] = 0
    return plan


def refusal(plan: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the plan is refused; empty where it is accepted."""
    from deploy.check_cluster import main

    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(plan))
    status = main(str(file))
    said = capsys.readouterr().err.splitlines()
    assert (status, len(said)) in ((0, 0), (2, 1))
    return said[0] if said else ""


def test_the_file_as_shipped_is_accepted(plan: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(plan, tmp_path, capsys) == ""


def test_an_unknown_model_is_named_with_those_there_are(
    plan: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan["applications"][0]["args"]["models"] = ["tiny", "huge"]
    said = refusal(plan, tmp_path, capsys)
    assert "has no model huge" in said
    assert "there are: tiny" in said


def test_a_missing_repository_is_named(plan: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan["applications"][0]["args"]["repository"] = str(tmp_path / "nowhere")
    assert "nowhere can't be read" in refusal(plan, tmp_path, capsys)


def test_an_unknown_setting_is_named(plan: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan["applications"][0]["args"]["settings"]["max_batch"] = 8
    assert "settings.max_batch" in refusal(plan, tmp_path, capsys)


def test_a_port_in_use_is_named(plan: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        plan["http_options"]["port"] = taken.getsockname()[1]
        assert "can't listen on" in refusal(plan, tmp_path, capsys)


def test_a_replica_drains_longer_than_its_server() -> None:
    (application,) = read_yaml("deploy/cluster.yaml")["applications"]
    (deployment,) = application["deployments"]
    assert deployment["graceful_shutdown_timeout_s"] > application["args"]["settings"]["drain_timeout_s"]


def test_scaling_starts_before_a_replica_is_full() -> None:
    (deployment,) = read_yaml("deploy/cluster.yaml")["applications"][0]["deployments"]
    assert deployment["autoscaling_config"]["target_ongoing_requests"] < deployment["max_ongoing_requests"]


def test_the_builder_is_found_where_the_file_says() -> None:
    module, name = read_yaml("deploy/cluster.yaml")["applications"][0]["import_path"].split(":")
    assert callable(getattr(importlib.import_module(module), name))
