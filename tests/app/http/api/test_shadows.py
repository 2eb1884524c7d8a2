"""Shadows over HTTP: who may change them, what is refused, what a comparison says, and who sees images."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from app.catalog.traffic import images
from tests.makers.artifacts import LABELS, gray_image, make_artifact, make_odd_graph
from tests.makers.waiting import wait_until

ADMIN = {"Authorization": "Bearer admin"}
PNG = {"Accept": "image/png"}
GRAY, DARK = gray_image(150), gray_image(10)
BACKWARD = {"of": "tiny/1", "run": "odd"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`odd` knows the same classes as `tiny`, and takes dark for white and white for dark."""
    folder = tmp_path / "repository"
    make_artifact(folder, version=1)
    make_artifact(folder, version=2)
    make_artifact(folder, "odd", graph=make_odd_graph())
    make_artifact(folder, "three", labels=LABELS[:3])
    return folder


@pytest.fixture
def open_service(repository: Path, open_client: Callable[..., TestClient]) -> Callable[..., TestClient]:
    def open_one(**settings: Any) -> TestClient:
        given = {"shadows": {"old": BACKWARD}, "admin_keys": [hash_key("admin")], **settings}
        client = open_client(repository=repository, versions="all", **given)
        client.headers.update(ADMIN)
        return client

    return open_one


@pytest.fixture
def service(open_service: Callable[..., TestClient]) -> TestClient:
    return open_service()


def post(client: TestClient, image: bytes) -> None:
    assert client.post("/predict/tiny?version=1", content=image).status_code == 200


def compare(client: TestClient, name: str, images: int) -> dict[str, Any]:
    """The comparison, once it has this many images."""
    wait_until(lambda: client.get(f"/shadows/{name}").json()["images"] == images)
    return client.get(f"/shadows/{name}").json()  # type: ignore[no-any-return]


def test_a_comparison_says_how_often_and_how_far_both_agree(service: TestClient) -> None:
    for image in (GRAY, GRAY, GRAY, DARK):
        post(service, image)
    found = compare(service, "old", 4)
    assert found["compares"] == {"of": "tiny/1", "run": "odd/1"}
    assert found["top1_agreement"] == 0.75
    low, high = found["top1_agreement_interval"]
    assert (round(low, 3), round(high, 3)) == (0.301, 0.954)  # Wilson's of 3 of 4
    top, other = (service.post(f"/predict/{name}", content=DARK).json() for name in ("tiny?version=1", "odd"))
    of, run = (answer["predictions"][0]["classes"][0] for answer in (top, other))
    assert found["confusion"] == [{"of": of["label"], "run": run["label"], "images": 1}]
    (disagreement,) = found["disagreements"]
    for by, told in (("of", of), ("run", run)):
        assert disagreement[by] == {"label": told["label"], "probability": pytest.approx(told["probability"])}
    assert 0 < found["mean_abs_difference"] < 1
    for by in ("of", "run"):
        assert found["latency"][by]["mean_infer_ms"] > 0
        assert found["latency"][by]["p99_infer_ms"] > 0
        assert found["latency"][by]["mean_batch_rows"] >= 1


def test_what_is_counted_is_in_the_metrics(service: TestClient) -> None:
    post(service, GRAY)
    post(service, DARK)
    compare(service, "old", 2)
    text = service.get("/metrics").text
    for result in ("agreed", "disagreed"):
        labels = f'{{shadow="old",of="tiny/1",run="odd/1",result="{result}"}}'
        assert f"convserve_shadow_images_total{labels} 1\n" in text
    assert 'convserve_shadow_difference_count{shadow="old",of="tiny/1",run="odd/1"} 2\n' in text
    assert 'convserve_shadow_infer_seconds_count{shadow="old",of="tiny/1",run="odd/1",by="run"} 2\n' in text


def test_images_are_kept_where_it_is_allowed_and_shown_to_holders_of_an_admin_key(service: TestClient) -> None:
    service.put("/shadows/keeps", json={**BACKWARD, "keep_images": True})
    post(service, DARK)
    (kept,) = compare(service, "keeps", 1)["disagreements"]
    (other,) = compare(service, "old", 1)["disagreements"]
    assert (kept["image"], other["image"]) == (True, False)
    image = service.get(f"/shadows/keeps/images/{kept['id']}")
    assert (image.status_code, image.headers["content-type"], image.content) == (200, "image/png", DARK)
    unknown = service.get(f"/shadows/old/images/{other['id']}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_image")
    assert service.get(f"/shadows/keeps/images/{kept['id']}", headers={"Authorization": ""}).status_code == 401
    service.put("/shadows/keeps", json=BACKWARD)
    assert service.get(f"/shadows/keeps/images/{kept['id']}").status_code == 404
    assert service.get("/shadows/keeps").json()["disagreements"] == [{**kept, "image": False}]


@pytest.mark.parametrize("by", ["of", "run"])
def test_the_evidence_of_both_is_drawn_over_the_image(service: TestClient, by: str) -> None:
    service.put("/shadows/keeps", json={**BACKWARD, "keep_images": True})
    post(service, DARK)
    (kept,) = compare(service, "keeps", 1)["disagreements"]
    shown = service.get(f"/shadows/keeps/images/{kept['id']}/{by}")
    drawn = service.post(f"/explain/{'tiny?version=1' if by == 'of' else 'odd'}", content=DARK, headers=PNG)
    assert (shown.status_code, shown.content) == (200, drawn.content)
    assert service.get(f"/shadows/keeps/images/{kept['id']}/neither").status_code == 422
    assert service.get(f"/shadows/keeps/images/none/{by}").json()["code"] == "unknown_image"
    assert service.get(f"/shadows/keeps/images/{kept['id']}/{by}", headers={"Authorization": ""}).status_code == 401


def test_images_are_kept_in_a_folder_where_there_is_one(
    open_service: Callable[..., TestClient], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    service = open_service(shadow_images=folder, shadows={"old": {**BACKWARD, "keep_images": True}})
    post(service, DARK)
    (kept,) = compare(service, "old", 1)["disagreements"]
    assert service.get(f"/shadows/old/images/{kept['id']}").content == DARK
    assert (folder / "old" / f"{kept['id']}.png").read_bytes() == DARK
    written = json.loads((folder / "old" / f"{kept['id']}.json").read_bytes())
    assert {**written, "image": True} == kept
    service.put("/shadows/old", json=BACKWARD)
    wait_until(lambda: not (folder / "old").exists())
    assert service.get(f"/shadows/old/images/{kept['id']}").status_code == 404


@pytest.mark.parametrize(
    "changed", [None, {**BACKWARD, "run": "odd"}, BACKWARD], ids=["deleted", "compares others", "keeps none"]
)
def test_images_of_earlier_starts_go_as_those_of_this_one_do(
    open_service: Callable[..., TestClient], tmp_path: Path, changed: dict[str, str] | None
) -> None:
    keeps: dict[str, Any] = {"of": "tiny/2", "run": "tiny/1", "keep_images": True}
    folder = keep_earlier(tmp_path / "images/next")
    service = open_service(shadow_images=tmp_path / "images", state_file=tmp_path / "state.json")
    assert service.put("/shadows/next", json={**keeps, "share": 0.5}).status_code == 200
    assert service.put("/shadows/next", json=keeps).status_code == 200
    assert len(list(folder.iterdir())) == 3
    again = open_service(shadow_images=tmp_path / "images", state_file=tmp_path / "state.json")
    if changed is None:
        assert again.delete("/shadows/next").status_code == 200
    else:
        assert again.put("/shadows/next", json={**keeps, "keep_images": False, **changed}).status_code == 200
    wait_until(lambda: [file.name for file in folder.iterdir()] == ["notes.txt"])


def test_images_of_earlier_starts_go_where_the_settings_let_none_be_kept_any_more(
    open_service: Callable[..., TestClient], tmp_path: Path
) -> None:
    folder = keep_earlier(tmp_path / "old")
    (folder / "notes.txt").unlink()
    open_service(shadow_images=tmp_path, shadows={"old": BACKWARD})
    wait_until(lambda: not folder.exists())


def keep_earlier(folder: Path) -> Path:
    """An image of an earlier start, and a file of somebody else."""
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef.png").write_bytes(DARK)
    (folder / "0123456789abcdef.json").write_text("{}")
    (folder / "notes.txt").write_text("not ours")
    return folder


def test_only_the_newest_disagreements_are_kept(service: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 2 * len(DARK) + 1)
    service.put("/shadows/keeps", json={**BACKWARD, "keep_images": True})
    for _ in range(images.MAX_IMAGES + 3):
        post(service, DARK)
    found = compare(service, "keeps", images.MAX_IMAGES + 3)["disagreements"]
    assert [entry["image"] for entry in found] == [True, True] + [False] * (images.MAX_IMAGES - 2)
    assert found == sorted(found, key=lambda entry: -entry["at"])


def test_a_shadow_that_is_put_runs_until_it_is_deleted(service: TestClient) -> None:
    put = service.put("/shadows/next", json={"of": "tiny/1", "run": "tiny/2", "share": 1})
    described = {"name": "next", "of": "tiny/1", "run": "tiny/2", "share": 1.0, "keep_images": False}
    assert (put.status_code, put.json()) == (200, {**described, "set_by": "request", "kept": False})
    old = {"name": "old", **BACKWARD, "share": 1.0, "keep_images": False, "set_by": "settings"}
    assert service.get("/shadows").json()["shadows"] == [old, {**described, "set_by": "request"}]
    post(service, GRAY)
    assert compare(service, "next", 1)["top1_agreement"] == 1
    assert service.delete("/shadows/next").json() == {"name": "next", "run": None, "kept": False}
    assert service.get("/shadows/next").status_code == 404


def test_what_a_request_sets_goes_before_the_settings(service: TestClient) -> None:
    service.put("/shadows/old", json={**BACKWARD, "share": 0.5})
    traffic = service.app.state.services.catalog.traffic  # type: ignore[attr-defined]
    traffic.replace({}, {})
    assert service.get("/shadows/old").json()["share"] == 0.5
    assert service.delete("/shadows/old").json()["run"] is None


def test_there_may_be_nothing_to_take_back(service: TestClient) -> None:
    refused = service.delete("/shadows/old")
    assert (refused.status_code, refused.json()["code"]) == (409, "shadow_of_settings")
    for method in ("DELETE", "GET"):
        unknown = service.request(method, "/shadows/nobody")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_shadow")
        assert unknown.json()["detail"] == "there is no shadow 'nobody'; there are: old"


def test_a_shadow_whose_models_are_not_there_says_why(open_service: Callable[..., TestClient]) -> None:
    service = open_service(shadows={"old": {"of": "tiny/1", "run": "absent"}})
    found = service.get("/shadows/old").json()
    assert "there is no model 'absent'" in found["reason"]
    assert "images" not in found


@pytest.mark.parametrize(
    ("order", "status", "words"),
    [
        ({"of": "tiny/1"}, 422, "`run` is missing: send"),
        ({"of": "tiny/1", "run": "tiny/1"}, 422, "of and run are both tiny/1: name two models"),
        ({"of": "tiny/2", "run": "tiny"}, 404, "of and run are both tiny/2: name two versions"),
        ({"of": "tiny/1", "run": "a b"}, 422, "run is 'a b': give a model as NAME or NAME/VERSION"),
        ({"of": "tiny/1", "run": "odd", "share": 0}, 422, "share is '0': input should be greater than 0"),
        ({"of": "tiny/1", "run": "odd", "shares": 1}, 422, "unknown parameter 'shares'"),
        ({"of": "tiny/1", "run": "absent"}, 404, "there is no model 'absent'"),
        ({"of": "tiny/1", "run": "three"}, 404, "must have the same labels"),
        ([], 400, "the JSON is not an object"),
    ],
)
def test_a_wrong_shadow_is_refused_in_words_and_changes_nothing(
    service: TestClient, order: Any, status: int, words: str
) -> None:
    refused = service.put("/shadows/old", content=json.dumps(order))
    assert (refused.status_code, refused.json()["status"]) == (status, status)
    assert words in refused.json()["detail"]
    assert service.get("/shadows/old").json()["set_by"] == "settings"


def test_only_the_holder_of_an_admin_key_changes_shadows(open_service: Callable[..., TestClient]) -> None:
    for client, status in ((open_service(), 401), (open_service(admin_keys=[]), 403)):
        del client.headers["Authorization"]
        assert client.get("/shadows/old").status_code == client.get("/shadows").status_code == 200
        for method in ("PUT", "DELETE"):
            assert client.request(method, "/shadows/old", content=b"{").status_code == status


def test_a_state_file_keeps_shadows_over_a_restart(open_service: Callable[..., TestClient], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    assert open_service(state_file=state).put("/shadows/next", json=BACKWARD).json()["kept"] is True
    after = open_service(state_file=state)
    assert [shadow["name"] for shadow in after.get("/shadows").json()["shadows"]] == ["old", "next"]


def show(client: TestClient, name: str = "old") -> str:
    page = client.get(f"/shadows/{name}", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    return page.text


def test_the_page_shows_disagreements_with_both_answers_and_how_to_promote(
    open_service: Callable[..., TestClient],
) -> None:
    service = open_service(aliases={"best": {"tiny/1": 9, "odd": 1}, "other": "tiny/2"})
    service.put("/shadows/keeps", json={**BACKWARD, "keep_images": True})
    post(service, DARK)
    (kept,) = compare(service, "keeps", 1)["disagreements"]
    page = show(service, "keeps")
    for by in ("of", "run"):
        source = f"keeps/images/{kept['id']}/{by}"
        assert f'<td>{kept[by]["label"]} {kept[by]["probability"]:.1%}<img data-source="{source}"' in page
    assert f'data-source="keeps/images/{kept["id"]}"' in page
    assert "curl -X PUT http://testserver/aliases/best " in page
    assert "aliases/other " not in page
    assert "{&quot;to&quot;: &quot;odd&quot;}" in page
    assert "data-source" not in show(service)


def test_the_page_says_what_a_guard_took_back_and_what_cannot_run(open_service: Callable[..., TestClient]) -> None:
    service = open_service(
        aliases={"best": {"tiny/1": 9, "odd": 1}}, shadows={"old": BACKWARD, "no": {**BACKWARD, "run": "x"}}
    )
    service.app.state.services.catalog.traffic.withdraw("best", "odd", "slower <b>")  # type: ignore[attr-defined]
    assert "best: slower &lt;b&gt;" in show(service)
    assert "there is no model &#x27;x&#x27;" in show(service, "no")


def test_without_an_alias_the_models_own_name_becomes_one(service: TestClient) -> None:
    assert "/aliases/tiny " in show(service)
