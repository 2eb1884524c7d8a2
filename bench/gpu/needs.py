"""What the command needs on a bare machine, laid out without installing anything, and named where it is missing.

Standard library alone: this runs before anything else can be imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
FOR_PREPARING = ("keras", "tensorflow", "tf2onnx", "onnx", "sklearn")


def lay_out(wheels: Path, site: Path) -> None:
    """Unpack `wheels`/*.whl into `site`, and put it on the path of this process and of those it starts.

    ONNX Runtime looks for NVIDIA's libraries beside itself: those of the interpreter are linked there. And the service
    asks for its own version, which pip would have written down.
    """
    site.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(wheels.glob("*.whl")):
        mark = site / f".{wheel.name}"
        if not mark.exists():
            _unpack(wheel, site)
            mark.touch()
    own = site / "nvidia"
    for folder in sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/*/")):
        if (site / "onnxruntime").exists() and not (own / folder.name).exists():
            own.mkdir(exist_ok=True)
            (own / folder.name).symlink_to(folder)
    _put_on_path(site)
    if importlib.util.find_spec("app") is not None and not _is_installed("convserve"):
        version = read_project()["version"]
        info = site / f"convserve-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: convserve\nVersion: {version}\n", encoding="utf-8"
        )


def find_missing(modules: Sequence[str] = ()) -> list[str]:
    """Packages of the serving stage, and `modules`, that can't be imported from here."""
    names = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in read_project()["dependencies"]]
    missing = [name for name in names if not _is_installed(name)]
    if importlib.util.find_spec("onnxruntime") is None:
        missing.append("onnxruntime-gpu")
    return missing + [module for module in modules if importlib.util.find_spec(module) is None]


def read_project() -> dict[str, Any]:
    """The [project] table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def explain_missing(missing: Sequence[str], wheels: Path) -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    libraries = [line for line in read_project()["optional-dependencies"]["gpu"] if line.startswith("nvidia-")]
    cuda = f"\nand, unless cuDNN and CUDA's libraries are here by other means: {' '.join(map(repr, libraries))}"
    return (
        f"missing for {sys.executable} (Python {version}): {', '.join(missing)}\n"
        f"nothing is installed here: where there is a network, and the same Python and platform, run\n"
        f"    pip download --only-binary :all: --python-version {version} -d wheels {' '.join(missing)}\n"
        f"and lay that folder here as {wheels} (or name it with --wheels){cuda if 'onnxruntime-gpu' in missing else ''}"
    )


def _unpack(wheel: Path, site: Path) -> None:
    """As pip lays out a wheel, less scripts: what lies under NAME.data/purelib or platlib belongs to the top."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            parts = Path(member.filename).parts
            if len(parts) > 2 and parts[0].endswith(".data"):
                if parts[1] not in ("purelib", "platlib"):
                    continue
                member.filename = "/".join(parts[2:])
            archive.extract(member, site)


def _put_on_path(site: Path) -> None:
    sys.path.insert(0, str(site))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), *([before] if before else [])])
    importlib.invalidate_caches()


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
