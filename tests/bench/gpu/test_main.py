from pathlib import Path

import onnxruntime
import pytest

from bench.gpu.__main__ import PIECES, UNABLE, main


def test_a_piece_that_does_not_exist_is_refused_with_those_that_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["g", "--out", str(tmp_path)])
    assert caught.value.code == 2
    assert "there is no piece 'g': a, b, c, d, e, f, prepare, report" in capsys.readouterr().err


def test_without_artifacts_a_piece_says_how_they_are_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["a", "--runtime", "cpu", "--out", str(tmp_path), "--pack", str(tmp_path / "none")]
    assert main(words) == UNABLE
    assert "python -m bench.gpu prepare" in capfd.readouterr().err


def test_without_a_gpu_nothing_is_measured_and_nothing_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    assert main(["--out", str(tmp_path), "--pack", str(tmp_path)]) == UNABLE
    assert "[a] CUDA is not available: this onnxruntime is built without it" in capfd.readouterr().err
    assert not list(tmp_path.glob("*.json"))


def test_every_piece_is_a_module_with_steps() -> None:
    for module, _ in PIECES.values():
        assert (Path("bench/gpu") / f"{module}.py").read_text().count("def steps(plan: Plan)") == 1
