"""[keys.NAME] tables: who may do what, how much, and before whom."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from app.admission.keys import Holder, Keys, hash_key
from app.batching.fair_queue import DEFAULT_CLASS, QueueClass
from app.errors import ManagementOff, Unauthorized
from app.settings import Settings
from app.settings_sources import load_settings
from tests.makers.artifacts import gray_image, make_artifact

GRAY = gray_image(150)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def make_keys(**tables: dict[str, Any]) -> Keys:
    return Keys(Settings(keys={name: {"hash": hash_key(f"cs-{name}"), **table} for name, table in tables.items()}))


def test_a_key_is_known_by_the_name_of_its_table() -> None:
    keys = make_keys(alice={}, bob={"priority": 1})
    assert keys.check_predict("Bearer cs-alice") == "alice"
    assert keys.holders["bob"] == Holder("bob", priority=1)
    with pytest.raises(Unauthorized):
        keys.check_predict("Bearer cs-carol")
    with pytest.raises(ManagementOff):
        keys.check_admin("Bearer cs-alice")


def test_a_role_is_for_that_alone() -> None:
    keys = make_keys(alice={}, boss={"role": "admin"})
    keys.check_admin("Bearer cs-boss")
    with pytest.raises(Unauthorized):
        keys.check_admin("Bearer cs-alice")
    with pytest.raises(Unauthorized):
        keys.check_predict("Bearer cs-boss")
    assert make_keys(boss={"role": "admin"}).check_predict("") == "", "anybody may predict where no key does"


def test_the_short_forms_stand_beside_the_tables() -> None:
    table = {"hash": hash_key("cs-alice")}
    keys = Keys(Settings(api_keys=[hash_key("one"), hash_key("two")], admin_keys=[hash_key("x")], keys={"a": table}))
    assert [keys.check_predict(f"Bearer {key}") for key in ("one", "two", "cs-alice")] == [
        "api_keys.0",
        "api_keys.1",
        "a",
    ]
    keys.check_admin("Bearer x")


def test_whoever_has_no_name_is_let_in_only_where_no_key_is_asked_for() -> None:
    assert Keys(Settings()).holders[""].models is None
    with pytest.raises(KeyError):
        make_keys(alice={}).holders[""]


@pytest.mark.parametrize(
    ("own", "asked", "expected"),
    [
        (None, 0, 2),
        (None, 1, 1),
        (None, 3, 3),
        (None, 99, 2),  # as Triton has it
        (1, 0, 1),
        (1, 3, 3),
        (3, 1, 3),
        (2, 1, 2),
        (3, 0, 3),
    ],
)
def test_a_request_may_ask_for_a_class_up_to_that_of_its_key(own: int | None, asked: int, expected: int) -> None:
    assert Holder("a", own).get_queue_class(asked) == QueueClass(expected, "a")


def test_anybody_who_asks_for_nothing_is_the_plain_one() -> None:
    assert Holder().get_queue_class(0) is Holder().get_queue_class(2) is DEFAULT_CLASS


def test_a_key_is_for_its_models_under_their_names_and_its_aliases(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    make_artifact(repository, "other")
    client = open_client(
        repository=repository,
        default_model="other",
        aliases={
            "mine": "other",
            "same": "tiny",
            "both": {"first": "tiny", "then": "other", "when": "p < 0.9"},
            "half": {"tiny": 1},
        },
        keys={"a": {"hash": hash_key("a"), "models": ["tiny", "mine"]}},
    )

    def ask(path: str, method: str = "POST") -> int:
        content = GRAY if method == "POST" else None
        return client.request(method, path, content=content, headers=bearer("a")).status_code

    for name, status in {"tiny": 200, "mine": 200, "same": 200, "half": 200, "other": 403, "both": 403}.items():
        assert ask(f"/predict/{name}") == status, name
    assert ask("/predict") == 403
    assert ask("/predict/nobody") == 404
    assert ask("/models/tiny/golden", "GET") == 200
    assert ask("/models/other/golden", "GET") == 403
    refused = client.post("/predict/other", content=GRAY, headers=bearer("a")).json()
    assert (refused["code"], refused["detail"]) == (
        "key_not_for_model",
        "the API key a may not use other, only mine, tiny",
    )
    assert ask("/models", "GET") == 200


def test_what_is_above_the_rate_is_429_with_the_time_to_wait_before_the_body_is_read(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    keys = {"slow": {"hash": hash_key("slow"), "rows_per_s": 0.01}, "other": {"hash": hash_key("other")}}
    client = open_client(repository=repository, keys=keys)
    files = [("file", ("a.png", GRAY, "image/png"))] * 3
    assert client.post("/predict/tiny", files=files, headers=bearer("slow")).status_code == 200
    refused = client.post("/predict/tiny", content=bytes(20_000_000), headers=bearer("slow"))
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_exceeded")
    assert 290 <= int(refused.headers["Retry-After"]) <= 300
    assert client.post("/predict/tiny", content=GRAY, headers=bearer("other")).status_code == 200


def test_images_that_were_refused_a_place_are_not_paid_for(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    keys = {"slow": {"hash": hash_key("slow"), "rows_per_s": 0.01}}
    client = open_client(repository=repository, keys=keys, max_queue_rows=2)
    files = [("file", ("a.png", GRAY, "image/png"))] * 3
    assert client.post("/predict/tiny", files=files, headers=bearer("slow")).status_code == 413
    assert client.post("/predict/tiny", content=GRAY, headers=bearer("slow")).status_code == 200


TABLE = f"""
[keys.phone]
hash = "{hash_key("phone")}"
priority = 1
rows_per_s = 50
models = ["lenet5"]
"""


def test_tables_come_from_the_settings_file_and_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(TABLE)
    monkeypatch.setenv("CONVSERVE_KEYS", f'{{"boss": {{"hash": "{hash_key("boss")}", "role": "admin"}}}}')
    keys = load_settings((), file).keys
    assert keys["phone"].models == ["lenet5"]
    assert keys["boss"].role == "admin"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"priority": 4}, "less than or equal to 3"),
        ({"rows_per_s": 0}, "greater than 0"),
        ({"models": []}, "at least 1"),
        ({"role": "boss"}, "'predict' or 'admin'"),
        ({"role": "admin", "priority": 1}, "role admin"),
        ({"rate": 1}, "Extra inputs"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(keys={"a": {"hash": hash_key("a"), **table}})


def test_a_body_asks_for_its_class_as_triton_has_it(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository)
    request: dict[str, Any] = {
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": [0] * 64}]
    }
    for priority in (0, 1, 3, 4, 2**40):
        asked = {**request, "parameters": {"priority": priority}}
        assert client.post("/v2/models/tiny/infer", json=asked).status_code == 200
    for priority in (-1, "1", 1.5, True):
        refused = client.post("/v2/models/tiny/infer", json={**request, "parameters": {"priority": priority}})
        assert refused.status_code == 400
        assert "parameters.priority" in refused.json()["detail"]
