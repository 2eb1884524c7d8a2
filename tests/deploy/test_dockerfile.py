import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.makers.sources import ROOT, packages_needed

TEXT = (ROOT / "Dockerfile").read_text()
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"


def stages() -> dict[str, list[str]]:
    """Stage name -> its instructions, continuation lines joined."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(line for line in TEXT.splitlines() if not line.startswith("#")))
    found: dict[str, list[str]] = {}
    for line in filter(None, joined.splitlines()):
        if line.startswith("FROM "):
            lines = found[line.rpartition(" AS ")[2]] = []
        elif line.startswith(("ARG", "ENV", "RUN", "COPY", "USER", "LABEL", "CMD")) or not line.startswith(" "):
            lines.append(line)
    return found


def sources_copied(stage: str) -> set[str]:
    """What a stage takes from the sources, not from another stage."""
    copies = [line.split()[1:] for line in stages()[stage] if line.startswith("COPY ") and "--from=" not in line]
    return {source for *sources, _ in copies for source in sources}


def test_the_linter_finds_nothing() -> None:
    if not HADOLINT.exists():
        pytest.skip("hadolint has no wheel for this platform")
    result = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_plain_builder_suffices() -> None:
    assert "# syntax=" not in TEXT
    assert "--mount" not in TEXT
    assert "<<" not in TEXT


def test_no_address_is_named() -> None:
    assert not re.search(r"https?://|index-url|extra-index", TEXT)


def test_serve_is_the_default_target() -> None:
    assert list(stages())[-1] == "serve"


@pytest.mark.parametrize("stage", ["serve", "export"])
def test_images_run_as_a_fixed_user_and_inherit_no_build_stage(stage: str) -> None:
    assert f"FROM runtime AS {stage}\n" in TEXT
    assert "USER 10001:10001" in stages()[stage]


@pytest.mark.parametrize("stage", ["serve", "export"])
def test_dependencies_are_a_layer_before_the_code(stage: str) -> None:
    copies = [line for line in stages()[stage] if line.startswith("COPY --from")]
    assert copies == [
        f"COPY --from={stage}-dependencies /opt/venv /opt/venv",
        f"COPY --from={stage}-code /package /",
    ]
    assert not sources_copied(f"{stage}-dependencies")


@pytest.mark.parametrize(("stage", "package"), [("serve", "app"), ("export", "export")])
def test_an_image_holds_its_stage_and_every_package_that_this_imports(stage: str, package: str) -> None:
    assert sources_copied(f"{stage}-code") == packages_needed(package)


@pytest.mark.parametrize(("stage", "other"), [("serve", "convserve-export"), ("export", "convserve")])
def test_an_image_has_no_command_of_the_other_stage(stage: str, other: str) -> None:
    assert f"rm /package/opt/venv/bin/{other}" in stages()[f"{stage}-code"][-1].split(" && ")


def test_dependencies_have_exact_versions() -> None:
    installs = re.findall(r"pip [^&\n]*install [^&\n]*", re.sub(r"\bpip (wheel|--\S+ \S+ uninstall) ", "", TEXT))
    assert len(installs) == 5
    assert all("-c constraints.txt" in install or "--no-index" in install for install in installs)


def test_the_builder_is_sent_what_the_images_are_made_of_and_no_more() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    assert sent == {source for stage in stages() for source in sources_copied(stage)}
