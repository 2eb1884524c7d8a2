from pathlib import Path

import pytest
from PIL import Image

from app.cli import main
from tests.makers.artifacts import gray_image


def test_predict_draws_where_the_network_looked(repository: Path, tmp_path: Path) -> None:
    image, out = tmp_path / "image.png", tmp_path / "why.png"
    image.write_bytes(gray_image(200, size=300))
    assert main(["predict", "tiny", str(image), "--repository", str(repository), "--explain", str(out)]) == 0
    with Image.open(out) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (300, 300))


def test_nothing_is_drawn_of_an_image_that_failed(repository: Path, tmp_path: Path) -> None:
    image, out = tmp_path / "image.png", tmp_path / "why.png"
    image.write_bytes(b"no image")
    assert main(["predict", "tiny", str(image), "--repository", str(repository), "--explain", str(out)]) == 1
    assert not out.exists()


def test_a_folder_cannot_be_explained(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["predict", "tiny", str(tmp_path), "--repository", str(repository), "--explain", str(tmp_path / "why.png")]
    assert main(given) == 2
    assert "name one file" in capsys.readouterr().err
