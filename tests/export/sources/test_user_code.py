"""`--code FILE.py` beside a package of the user's that is called as one of ours."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import models.registry
from artifact.card import read_card
from export.cli.main import main
from export.errors import UsageError
from export.sources.user_code import OURS, ROOT, Definitions
from models.response_normalization import LocalResponseNormalization

FILES = {
    "network.py": "import keras\nfrom models.gates import Gate\nclass Named(Gate): pass\n",
    "models/__init__.py": "from .gates import Gate\n",
    "models/gates.py": (
        "import keras\n"
        "class Gate(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        from models.late import factor\n"
        "        from helper import one\n"
        "        return x * factor * one()\n"
    ),
    "models/late.py": "factor = 0.5\n",
    "models/lenet.py": "whose = 'the user'\n",
    "helper.py": "def one():\n    from models.lenet import whose\n    return 1.0 if whose == 'the user' else 0.0\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with network.py and the user's own `models`; what it leaves in sys.modules goes with the test."""
    for name, text in FILES.items():
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    return tmp_path / "project"


def ours() -> dict[str, int]:
    return {name: id(module) for name, module in sys.modules.items() if name.partition(".")[0] in ("models", "export")}


def save(definitions: Definitions, name: str, file: Path, *inside: keras.Layer, size: int = 20) -> None:
    """A network with a layer of the user's, as it would be saved in the user's own process."""
    keras.utils.set_random_seed(0)
    inside = definitions.names[name](), *inside
    body = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    keras.Sequential([keras.Input((size, size, 3)), *inside, *body]).save(file)


def test_a_file_finds_the_users_package_and_we_keep_ours(project: Path) -> None:
    modules, path = ours(), list(sys.path)
    definitions = Definitions(project / "network.py")
    assert (ours(), sys.path) == (modules, path)
    assert definitions.names["Gate"].__module__ == "models.gates"
    assert sys.modules["models.registry"] is models.registry
    # In what it imports only when it is called, too, and in the helper that it calls there.
    np.testing.assert_array_equal(np.asarray(definitions.names["Gate"]()(np.ones((1, 2)))), np.full((1, 2), 0.5))
    assert (ours(), sys.path) == (modules, path)


@pytest.mark.parametrize("package", OURS)
def test_any_name_of_ours_may_be_the_users_too(package: str, tmp_path: Path) -> None:
    (tmp_path / f"{package}.py").write_text("whose = 'the user'\ndef read(): return whose\n")
    (tmp_path / "network.py").write_text(f"from {package} import read\nimport keras\n")
    before = sys.modules.get(package)
    assert Definitions(tmp_path / "network.py").names["read"]() == "the user"
    assert sys.modules.get(package) is before


def test_the_names_of_ours_are_those_that_are_installed() -> None:
    packages = tomllib.loads((Path(ROOT) / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert {name.removesuffix(".*") for name in packages["find"]["include"]} <= set(OURS)


def test_a_file_that_fails_loses_nothing(project: Path) -> None:
    (project / "network.py").write_text("import models.gates\nimport sys\nsys.path.append('/nowhere')\n1 / 0\n")
    modules, path, finders = ours(), list(sys.path), list(sys.meta_path)
    before = sys.modules.get("definitions_network")
    with pytest.raises(UsageError, match=r"network\.py fails: ZeroDivisionError"):
        Definitions(project / "network.py")
    assert (ours(), sys.path, sys.meta_path) == (modules, path, finders)
    assert sys.modules.get("definitions_network") is before


def test_a_file_that_would_end_the_process_is_named(project: Path) -> None:
    (project / "network.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(UsageError, match="SystemExit: 3"):
        Definitions(project / "network.py")


def test_a_file_without_a_package_of_that_name_finds_ours_as_keras_has_registered_it(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text("from models.response_normalization import LocalResponseNormalization\n")
    assert Definitions(tmp_path / "network.py").names["LocalResponseNormalization"] is LocalResponseNormalization
    name = keras.saving.get_registered_name(LocalResponseNormalization)
    assert keras.saving.get_registered_object(name) is LocalResponseNormalization


def test_the_inside_of_an_installed_package_is_not_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime.transformers

    monkeypatch.syspath_prepend(str(Path(onnxruntime.transformers.__file__).parent))  # as it does itself
    (tmp_path / "network.py").write_text("from models.response_normalization import LocalResponseNormalization\n")
    assert Definitions(tmp_path / "network.py").names["LocalResponseNormalization"] is LocalResponseNormalization


def test_a_package_on_a_path_that_the_file_adds_is_found(project: Path) -> None:
    (project / "scripts").mkdir()
    (project / "models/__init__.py").unlink()  # a namespace package, as projects without __init__ have
    added = f"import sys\nsys.path.insert(0, {str(project)!r})\n"
    (project / "scripts/network.py").write_text(f"{added}from models.gates import Gate\n")
    gate = Definitions(project / "scripts/network.py").names["Gate"]
    np.testing.assert_array_equal(np.asarray(gate()(np.ones((1, 2)))), np.full((1, 2), 0.5))


@pytest.mark.parametrize("name", ["Gate", "Named"])
def test_convert_proves_a_network_with_layers_of_the_users_package(project: Path, tmp_path: Path, name: str) -> None:
    save(Definitions(project / "network.py"), name, tmp_path / "net.keras")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    words = ["--labels", str(tmp_path / "labels.txt"), "--preprocessing", "unit", "--repository", str(tmp_path / "r")]
    words += ["--code", str(project / "network.py")]
    assert main(["convert", str(tmp_path / "net.keras"), "--name", "mine", *words]) == 0
    assert read_card(tmp_path / "r/mine/1").network.origin == "keras-file"


def test_a_network_with_layers_of_the_users_package_is_trained_resumed_and_converted(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(Definitions(project / "network.py"), "Gate", tmp_path / "net.keras", layers.Lambda(lambda x: 2 * x))
    generator = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(10):
            pixels = generator.integers(0, 100, (20, 20, 3), np.uint8) + (100 if name == "light" else 0)
            Image.fromarray(pixels).save(tmp_path / f"images/{name}/{index}.png")
    code = ["--code", str(project / "network.py"), "--unsafe"]
    words = ["train", str(tmp_path / "net.keras"), "--dataset", str(tmp_path / "images"), "--preprocessing", "unit"]
    words += ["--out", str(tmp_path / "run"), "--epochs", "2", *code]
    assert main(words) == 0
    (tmp_path / "run/model.keras").unlink()  # as if the training had been killed after its last epoch
    assert main(words) == 0
    assert main(["convert", str(tmp_path / "run"), "--repository", str(tmp_path / "r"), *code]) == 0
    plot = ["--plot", str(tmp_path / "time.png")]
    assert main(["time", str(tmp_path / "run"), "--batches", "1", "--batch-size", "2", *plot, *code]) == 0
    capsys.readouterr()
    suspects = ["suspects", str(tmp_path / "run")]
    assert main(suspects) == 1
    assert "if you trust it, pass --unsafe" in capsys.readouterr().err
    assert main([*suspects, "--unsafe"]) == 1
    assert "needs the definition of Gate" in capsys.readouterr().err
    assert main([*suspects, *code]) == 0
    assert main([*suspects, "--folds", "2", *code]) == 2
    assert "began with the weights of net.keras, and so would its folds" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main([*suspects, "--folds", "2", *code]) == 0
    assert "16 labels are suspect" in capsys.readouterr().err
