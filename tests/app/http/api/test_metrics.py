import re
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from app.observe.families import FAMILIES
from artifact.figures.evaluation import Distribution
from tests.makers.artifacts import gray_image, make_artifact


def read_metrics(client: TestClient) -> dict[str, float]:
    """Series -> value, as Prometheus would read them."""
    response = client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for line in response.text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            assert re.fullmatch(r'[a-z_]+(\{([a-z]+="([^"\\\n]|\\["\\n])*",?)+\})?', series), series
            found[series] = float(value)
    return found


def test_a_prediction_is_counted_in_every_stage(client: TestClient) -> None:
    for level in (0, 255, 255):
        client.post("/predict/tiny", content=gray_image(level))
    metrics = read_metrics(client)
    labels = 'model="tiny",version="1"'
    for stage in ("decode", "queue", "infer"):
        assert metrics[f'convserve_stage_seconds_count{{{labels},stage="{stage}"}}'] == 3
        assert metrics[f'convserve_stage_seconds_bucket{{{labels},stage="{stage}",le="+Inf"}}'] == 3
    assert metrics[f"convserve_request_seconds_count{{{labels}}}"] == 3
    assert metrics[f"convserve_images_total{{{labels}}}"] == 3
    assert metrics[f"convserve_batch_rows_sum{{{labels}}}"] == 3
    assert metrics[f'convserve_predictions_total{{{labels},label="white"}}'] == 2
    assert metrics[f'convserve_predictions_total{{{labels},label="black"}}'] == 1
    assert metrics[f"convserve_confidence_count{{{labels}}}"] == 3
    assert metrics[f"convserve_queue_rows{{{labels}}}"] == 0
    assert metrics[f"convserve_queue_limit_rows{{{labels}}}"] == 256
    assert metrics[f'convserve_sessions{{{labels},device="cpu",precision="fp32",network="tiny"}}'] == 1
    assert metrics[f"convserve_model_memory_bytes{{{labels}}}"] > 0
    assert metrics['convserve_requests_total{model="tiny",status="200"}'] == 3
    assert metrics["convserve_ready"] == metrics["convserve_workers"] == 1


def test_hundreds_of_idle_models_are_a_few_lines_each(tmp_path: Path, open_client: Callable[..., TestClient]) -> None:
    for number in range(20):
        make_artifact(tmp_path, f"idle{number}")
    client = open_client(repository=tmp_path)
    client.post("/predict/idle0", content=gray_image(0))
    metrics = read_metrics(client)
    assert sum("idle7" in series for series in metrics) <= 6
    assert metrics["convserve_worker_restarts_total"] == 0  # in one process, too: the dashboard's panel has data


def test_refusals_are_counted_by_reason_and_unknown_names_are_no_labels(client: TestClient) -> None:
    client.post("/predict/tiny", content=b"junk")
    client.post("/predict/tiny?top_k=9", content=gray_image(0))
    client.post("/predict/absent", content=gray_image(0))
    client.get("/absent")
    metrics = read_metrics(client)
    assert metrics['convserve_rejections_total{model="tiny",reason="undecodable_image"}'] == 1
    assert metrics['convserve_rejections_total{model="tiny",reason="invalid_parameter"}'] == 1
    assert metrics['convserve_rejections_total{model="",reason="unknown_model"}'] == 1
    assert metrics['convserve_rejections_total{model="",reason="unknown_path"}'] == 1
    assert not any("absent" in series for series in metrics)


def test_drift_is_the_distance_from_the_card_s_distribution(
    tmp_path: Path, open_client: Callable[..., TestClient]
) -> None:
    expected = Distribution(images=10, classes=(0.5, 0, 0, 0, 0.5), confidence=(0,) * 9 + (1,))
    make_artifact(tmp_path, distribution=expected)
    client = open_client(repository=tmp_path)
    series = 'convserve_class_drift{model="tiny",version="1"}'
    assert series not in read_metrics(client)
    files = [("f", ("x.png", gray_image(level))) for level in (0, 255) for _ in range(30)]
    for _ in range(2):
        client.post("/predict/tiny", files=files)
    assert read_metrics(client)[series] == 0
    for _ in range(2):
        client.post("/predict/tiny", files=[("f", ("x.png", gray_image(128)))] * 60)
    assert read_metrics(client)[series] == 0.5
    assert read_metrics(client)['convserve_confidence_drift{model="tiny",version="1"}'] >= 0


def test_images_unlike_the_training_set_are_counted(tmp_path: Path, open_client: Callable[..., TestClient]) -> None:
    distribution = Distribution(images=50, classes=(0.2,) * 5, confidence=(0.1,) * 10, energy=(50.0,) * 9)
    make_artifact(tmp_path, distribution=distribution)  # gray level 0 has energy 0, level 255 about 130
    client = open_client(repository=tmp_path)
    warnings = [
        "warning" in client.post("/predict/tiny", content=gray_image(level)).json()["predictions"][0]
        for level in (0, 255, 0)
    ]
    assert warnings == [True, False, True]
    assert read_metrics(client)['convserve_unfamiliar_images_total{model="tiny",version="1"}'] == 2


def test_counts_go_on_over_a_reload(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository)
    assert client.portal is not None
    for _ in range(2):
        client.post("/predict/tiny", content=gray_image(0))
        client.portal.call(client.app.state.services.control.load, "tiny")  # type: ignore[attr-defined]
    metrics = read_metrics(client)
    assert metrics['convserve_images_total{model="tiny",version="1"}'] == 2
    assert metrics['convserve_loads_total{model="tiny",result="loaded"}'] == 3


def test_every_metric_bears_the_service_s_name_and_a_line_of_help() -> None:
    for name, family in FAMILIES.items():
        assert family.help.endswith("."), name
        assert name.startswith("convserve_") != family.internal
        assert family.internal or (family.kind == "counter") == name.endswith("_total")
