"""Images to post: digits and photos that scikit-learn bundles, in the sizes that each model is measured with; and
photos of 12 megapixels made from those of CONVSERVE_DATA_DIR. The small sets are written at each call, the large photos
only where they are missing.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from export.data.datasets import load_dataset
from export.progress import Progress

MEGAPIXELS_12 = 12_000_000
# Images of each small set.
COUNT = 24


def digits(folder: Path) -> list[Path]:
    """28x28 gray PNG: test digits, enlarged from their 8x8."""
    samples = load_dataset("digits", None).test

    def enlarge(index: int) -> bytes:
        whole = Image.open(io.BytesIO(samples.encoded(index)[0]))
        return encode(whole.convert("L").resize((28, 28), Image.Resampling.BILINEAR), "PNG")

    return write(folder / "digits", ".png", [enlarge(index) for index in range(COUNT)])


def small_crops(folder: Path) -> list[Path]:
    """32x32 color PNG."""
    return write(folder / "small", ".png", [encode(c.resize((32, 32)), "PNG") for c in _crops(6, 320)])


def photos_500(folder: Path) -> list[Path]:
    """500x375 JPEG, quality 95, without chroma subsampling: about 90 kB."""
    return write(
        folder / "photos-500",
        ".jpg",
        [encode(crop.resize((500, 375)), "JPEG", quality=95, subsampling=0) for crop in _crops(2, 400)],
    )


def whole_photos(folder: Path) -> list[Path]:
    """Both photos as JPEG, 640x427."""
    return write(folder, ".jpg", [encode(photo, "JPEG", quality=92) for photo in _photos()])


def large_photos(folder: Path) -> list[Path]:
    """The photos of CONVSERVE_DATA_DIR/photos enlarged to 12 megapixels as JPEG, quality 90, in their order. Raises
    KeyError where the variable isn't set, which LoadModel.needs says beforehand.
    """
    found = sorted((Path(os.environ["CONVSERVE_DATA_DIR"]) / "photos").glob("*.JPEG"))
    target = folder / "large"
    target.mkdir(parents=True, exist_ok=True)
    missing = [path for path in found if not (target / f"{path.stem}.jpg").is_file()]
    if missing:
        with Progress("enlarging photos to 12 megapixels", len(missing)) as progress:
            for path in missing:
                (target / f"{path.stem}.jpg").write_bytes(encode(_enlarge(path), "JPEG", quality=90))
                progress.advance()
    return [target / f"{path.stem}.jpg" for path in found]


def _enlarge(path: Path) -> Image.Image:
    photo = Image.open(path).convert("RGB")
    scale = (MEGAPIXELS_12 / (photo.width * photo.height)) ** 0.5
    return photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC)


def _crops(across: int, side: int) -> list[Image.Image]:
    """Evenly spread crops of both photos (640x427), `across` by two of each, 4:3, `side` wide."""
    found = []
    for photo in _photos():
        high = side * 3 // 4
        for column in range(across):
            for row in range(2):
                left = column * (photo.width - side) // max(1, across - 1)
                top = row * (photo.height - high)
                found.append(photo.crop((left, top, left + side, top + high)))
    return found


def _photos() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(photo) for photo in load_sample_images().images]


def encode(image: Image.Image, kind: str, **options: int) -> bytes:
    """The bytes of an image file of Pillow's format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write(folder: Path, suffix: str, contents: list[bytes]) -> list[Path]:
    """Write each content to a numbered file of `folder`, replacing what is there; returns the paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{place:02}{suffix}" for place in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths
