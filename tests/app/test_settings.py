from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.aliases import Cascade, Split
from app.settings import Settings
from app.settings_sources import explain_passed_over, load_settings


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 1\nhost = "file"\nmax_images = 3\n')
    monkeypatch.setenv("CONVSERVE_HOST", "environment")
    monkeypatch.setenv("CONVSERVE_PORT", "2")
    settings = load_settings(["--port", "3"], file)
    assert (settings.port, settings.host, settings.max_images, settings.max_pixels) == (3, "environment", 3, 50_000_000)


def test_a_table_of_the_file_overrides_for_one_model(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("max_batch_size = 16\n[model.vgg16]\nmax_batch_size = 4\ntimeout_ms = 60000\n")
    settings = load_settings([], file)
    assert settings.of_model("vgg16").max_batch_size == 4
    assert settings.of_model("vgg16").timeout_ms == 60_000
    assert settings.of_model("lenet5").max_batch_size == 16


def test_a_table_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSERVE_MODEL__LENET5__MAX_WAIT_MS", "2.5")
    assert load_settings().of_model("lenet5").max_wait_ms == 2.5


@pytest.mark.parametrize("line", ["prot = 1", "[model.a]\nmax_batch = 1", 'device = "gpu"', 'versions = "newest"'])
def test_a_misspelled_setting_is_an_error(tmp_path: Path, line: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(line)
    with pytest.raises(ValidationError):
        load_settings([], file)


def test_an_alias_may_be_a_cascade(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[aliases]\nold = "a/3"\nboth = {first = "a/1", then = "b", when = "set>1"}\n')
    aliases = load_settings([], file).aliases
    assert aliases == {"old": "a/3", "both": Cascade(first="a/1", then="b", when="set > 1", coverage=0.95)}
    assert Settings(**load_settings([], file).model_dump(mode="json")).aliases == aliases


@pytest.mark.parametrize(
    ("when", "most_labels", "least_probability"),
    [("set > 1", 1, 0), (" set>12 ", 12, 0), ("p < 0.9", 0, 0.9), ("p<.25", 0, 0.25), ("p < 1", 0, 1)],
)
def test_when_speaks_of_the_label_set_or_the_probability(when: str, most_labels: int, least_probability: float) -> None:
    said = Cascade(first="a", then="b", when=when)
    assert (said.most_labels, said.least_probability) == (most_labels, least_probability)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"when": "set > 0"}, "write 'set > N'"),
        ({"when": "set < 2"}, "write 'set > N'"),
        ({"when": "p < 0"}, "or 'p < X'"),
        ({"when": "p < 1.5"}, "or 'p < X'"),
        ({"when": "p > 0.5"}, "or 'p < X'"),
        ({"coverage": 1}, "less than 1"),
        ({"then": "a"}, "name two models"),
        ({"then": "b c"}, "give a model as NAME or NAME/VERSION"),
        ({"wen": "p < 1"}, "not permitted"),
    ],
)
def test_a_wrong_cascade_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(aliases={"both": {"first": "a", "then": "b", "when": "p < 0.5", **changes}})


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_settings([], tmp_path / "none.toml")


def test_every_setting_has_a_default_and_a_line_of_help() -> None:
    for name, field in Settings.model_fields.items():
        assert not field.is_required(), name
        assert field.description, name
        assert "\n" not in field.description, name


def test_lists_can_be_given_with_commas() -> None:
    assert load_settings(["--require", "a,b", "--require", "c"]).require == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("variable", "written", "value"),
    [
        ("require", "a,b", ["a", "b"]),
        ("require", " a , b ,", ["a", "b"]),
        ("require", "a", ["a"]),
        ("require", '["a", "b"]', ["a", "b"]),
        ("require", "", []),
        ("max_images", "", 64),
        ("aliases", "digits=lenet5/3,best=vgg16", {"digits": "lenet5/3", "best": "vgg16"}),
        ("aliases", '{"digits": "lenet5"}', {"digits": "lenet5"}),
        (
            "cors_origins",
            "https://Example.org/,http://localhost:3000",
            ["https://example.org", "http://localhost:3000"],
        ),
        ("cors_origins", "*", ["*"]),
        ("port", "tcp://10.96.0.1:80", 8000),
        ("host", "udp://10.96.0.1:80", "127.0.0.1"),
    ],
)
def test_the_environment_is_read_as_people_and_kubernetes_write_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, written: str, value: object
) -> None:
    monkeypatch.setenv(f"CONVSERVE_{variable.upper()}", written)
    assert getattr(load_settings(), variable) == value
    assert getattr(Settings(), variable) == Settings.model_fields[variable].default, "the table itself reads nothing"


def test_a_value_that_cannot_be_read_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSERVE_ALIASES", "digits")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value.__cause__) == "CONVSERVE_ALIASES is neither a=b,c=d nor JSON"


def test_variables_that_are_no_settings_are_told_without_their_values() -> None:
    links = {
        "CONVSERVE_SERVICE_HOST": "10.96.0.1",
        "CONVSERVE_SERVICE_PORT_HTTP": "80",
        "CONVSERVE_PORT_80_TCP_ADDR": "10.96.0.1",
        "CONVSERVE_METRICS_PORT": "tcp://10.96.0.1:9000",
        "CONVSERVE_DATA_DIR": "/data",
        "CONVSERVE_MODEL__LENET5__THREADS": "2",
        "CONVSERVE_MAX_IMAGES": "3",
        "PATH": "/bin",
    }
    assert list(explain_passed_over(links)) == []
    lines = list(explain_passed_over({"CONVSERVE_PORT": "tcp://10.96.0.1:80", "CONVSERVE_API_KEY": "cs-secret"}))
    assert "enableServiceLinks: false" in lines[0]
    assert lines[1] == "CONVSERVE_API_KEY is ignored: unknown setting api_key"


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/page", "https://"])
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError, match=r"such as https://example\.org"):
        Settings(cors_origins=[origin])


@pytest.mark.parametrize(("given", "workers"), [("auto", "auto"), ("0", 0), ("3", 3), (2, 2)])
def test_workers_are_a_number_or_found_out(given: object, workers: object) -> None:
    assert Settings(workers=given).workers == workers
    assert Settings().workers == "auto"


@pytest.mark.parametrize("given", ["", "many", "-1", -1, 1.5, True])
def test_what_is_no_number_of_workers_is_refused(given: object) -> None:
    with pytest.raises(ValidationError, match="give auto, or a whole number of processes"):
        Settings(workers=given)


def test_an_alias_may_mean_several_models_each_for_its_share(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[aliases]\nshort = {"a/3" = 90, "a/4" = 10}\nlong = {to = {a = 1, to = 0.5}, sticky = "X-User"}\n'
        'odd = {to = 1, first = 2}\nplain = {to = "a/3"}\nboth = {to = {first = "a", then = "b", when = "p < 0.5"}}\n'
    )
    aliases = load_settings([], file).aliases
    assert aliases == {
        "short": Split(to={"a/3": 90, "a/4": 10}),
        "long": Split(to={"a": 1, "to": 0.5}, sticky="X-User"),
        "odd": Split(to={"to": 1, "first": 2}),
        "plain": "a/3",
        "both": Cascade(first="a", then="b", when="p < 0.5"),
    }
    assert str(aliases["short"]) == "a/3 90 %, a/4 10 %"
    assert str(aliases["long"]) == "a 66.67 %, to 33.33 %, sticky by X-User"
    assert Settings(**load_settings([], file).model_dump(mode="json")).aliases == aliases


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"a/1": 0, "a/2": 0}, "every weight is 0"),
        (
            {"a/1": 1_000_000, "a/2": 1},
            "a/2 has weight 1, less than 1 of 10,000 requests: give it a larger weight, or 0",
        ),
        ({"a/1": -1, "a/2": 2}, "greater than or equal to 0"),
        ({"a/1": "many"}, "valid"),
        ({"a/1": float("nan")}, "greater than or equal to 0"),
        ({"a b": 1}, "give a model as NAME or NAME/VERSION"),
        ({}, "at least 1 item"),
        ({"to": {"a": 1}, "stiky": "X-User"}, "stiky"),
        ({"to": {"a": 1}, "sticky": "X User"}, "give a header's name"),
        ({"to": "a", "sticky": "X-User"}, "sticky goes with weights, and `to` names none"),
        ({"to": {"first": "a", "then": "b", "when": "p < 0.5"}, "sticky": "X-User"}, "sticky goes with weights"),
    ],
)
def test_wrong_weights_are_refused_in_words(written: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(aliases={"best": written})


def test_a_repository_is_a_folder_or_an_address(tmp_path: Path) -> None:
    folder = load_settings(["--repository", str(tmp_path)])
    assert (folder.is_store, folder.folder, folder.looks_every_s) == (False, tmp_path, 5)
    store = load_settings(["--repository", "s3://bucket/models/", "--cache-dir", str(tmp_path)])
    assert (store.repository, store.is_store, store.looks_every_s) == ("s3://bucket/models", True, 60)
    assert store.folder.parent == tmp_path
    assert load_settings(["--repository", "s3://bucket/models", "--poll-s", "0"]).looks_every_s == 0
    assert Settings(**store.model_dump(mode="json")).model_dump() == store.model_dump(), "as a worker gets it"
    with pytest.raises(ValidationError, match="a repository is a folder, s3://BUCKET/PATH"):
        load_settings(["--repository", "ftp://example.org"])
