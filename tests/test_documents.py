"""What the documents say of files, arrows, settings and metrics is so."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from app.observe.families import FAMILIES
from app.settings import ModelSettings, Settings
from app.settings_sources import load_settings
from tests.makers.sources import PACKAGES, ROOT, files_of, packages, tracked_files, wing, wings_known

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
ARCHITECTURE = (DOCS / "architecture.md").read_text()
FOLDERS = (*PACKAGES, "docs", "tests")
SUFFIXES = "css|html|js|json|lua|onnx|py|svg|toml|ya?ml"
TEXTS = {".py", ".js", ".lua", ".toml", ".yaml", ".yml", ".css", ".html"}


@pytest.mark.parametrize("page", ["operating.md", "clients.md"])
def test_every_metric_and_flag_that_a_page_names_exists(page: str) -> None:
    text = (DOCS / page).read_text()
    assert set(re.findall(r"convserve_\w+", text)) <= FAMILIES.keys()
    ours = re.sub(r"\b(?:curl|docker) [^`\n]*", "", text)
    flags = {flag.replace("-", "_") for flag in re.findall(r"--([a-z][a-z-]+)", ours)}
    assert flags <= Settings.model_fields.keys() | {"settings", "show_settings", "help"}


def test_the_reference_is_what_its_script_makes_of_settings_and_metrics() -> None:
    spec = importlib.util.spec_from_file_location("docs_reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (DOCS / "reference.md").read_text() == script.render_reference(), "run: python docs/reference.py"


def test_the_examples_of_a_settings_file_are_parts_of_one(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / "operating.md").read_text(), re.DOTALL)
    file = tmp_path / "settings.toml"
    file.write_text("\n".join(examples))
    settings = load_settings([], file)
    assert settings.model["vgg16"] == ModelSettings(max_batch_size=8, timeout_ms=30_000)
    assert (settings.keys["nightly"].models, settings.keys["nightly"].priority) == (["resnet50", "photos"], 3)


def test_the_changelog_begins_with_the_version_that_is_built() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    described = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert described[0] == built
    assert described == sorted(described, key=lambda version: [int(part) for part in version.split(".")], reverse=True)


def test_nothing_says_to_install_the_project_by_its_bare_name() -> None:
    # It is in no registry: what has that name there, now or one day, is somebody else's.
    bare = re.compile(r"\binstall (?:-\S+ )*['\"]?convserve\b")
    names = [name for name in tracked_files() if Path(name).suffix in {*TEXTS, ".md", ""}]
    assert [name for name in names if bare.search((ROOT / name).read_text(errors="ignore"))] == []


def find_missing(text: str, least: str = "") -> set[str]:
    """The files and modules of ours that a text names and that don't exist; with `least` only files that end so."""
    paths = re.findall(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w{least}\b", text)
    names = re.findall(rf"(?:-m|uvicorn) ((?:{'|'.join(PACKAGES)})[\w.]*)", text)
    modules = [name.replace(".", "/") for name in names]
    missing = {path for path in paths if not (ROOT / path).exists()}
    return missing | {name for name in modules if not ((ROOT / name).is_dir() or (ROOT / f"{name}.py").exists())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_module_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    links = [target for target in re.findall(r"\]\(([^)#:]+)\)", text) if "//" not in target]
    assert not find_missing(text)
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_file_and_module_that_a_comment_or_setting_names_exists() -> None:
    # Tests are left out: they make files of such names themselves, as a user would.
    named = [name for name in tracked_files() if not name.startswith("tests/")]
    sources = [name for name in named if Path(name).suffix in TEXTS or "." not in name]
    missing = {name: find_missing((ROOT / name).read_text(), rf"\.(?:{SUFFIXES})") for name in sources}
    assert not {name: what for name, what in missing.items() if what}


def test_the_tree_shows_every_folder_of_the_packages_and_no_other() -> None:
    (tree,) = re.findall(r"```text\n(.*?)```", ARCHITECTURE, re.DOTALL)
    shown = [line.split()[0].rstrip("/") for line in tree.splitlines()]
    depth = {"bench": 1, "deploy": 1, "docs": 1, "tests": 1}
    folders = {
        folder
        for name in tracked_files(FOLDERS)
        for folder in map(str, Path(name).parents)
        if folder != "." and folder.count("/") < depth.get(folder.split("/")[0], 9)
    }
    assert len(shown) == len(set(shown))
    assert set(shown) == folders


def read_arrows(package: str) -> dict[str, set[str]]:
    """The arrows that the page draws inside a package, or with "" between packages."""
    (block,) = re.findall(rf"```{f'arrows {package}'.strip()}\n(.*?)```", ARCHITECTURE, re.DOTALL)
    pairs = [line.split(" -> ") for line in block.splitlines()]
    assert len(dict(pairs)) == len(pairs), "a folder is drawn twice"
    return {origin: set(targets.split(", ")) for origin, targets in pairs}


def test_the_arrows_between_packages_are_the_imports() -> None:
    known = {name: {other for path in files_of(name) for other in packages(path)} for name in PACKAGES}
    imported = {name: others & set(PACKAGES) - {name} for name, others in known.items()}
    assert read_arrows("") == {name: others for name, others in imported.items() if others}


@pytest.mark.parametrize("package", ["app", "export"])
def test_the_arrows_inside_a_package_are_the_imports(package: str) -> None:
    known: dict[str, set[str]] = {}
    for path in files_of(package):
        if not wing(path).startswith("__"):
            known.setdefault(wing(path), set()).update(wings_known(path) - {wing(path)})
    # Modules that know nothing of their package, such as errors, or only such modules, stand under every floor.
    modules = {name for name in known if (ROOT / package / f"{name}.py").exists()}
    ground: set[str] = set()
    while more := {name for name in modules - ground if known[name] <= ground}:
        ground |= more
    assert all(f"`{package}/{name}.py`" in ARCHITECTURE for name in ground)
    imported = {name: others - ground for name, others in known.items()}
    assert read_arrows(package) == {name: others for name, others in imported.items() if others}
