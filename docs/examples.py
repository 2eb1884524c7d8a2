"""Makes the images that the README's commands post: digit.png (a drawn 3) and photo.jpg (a flower).

python docs/examples.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

from export.data.datasets import load_dataset


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    drawn = load_dataset("drawn-digits", None).test
    three = next(index for index, label in enumerate(drawn.labels) if label == 3)
    (root / "digit.png").write_bytes(drawn.encoded(three)[0])
    Image.fromarray(load_sample_image("flower.jpg")).save(root / "photo.jpg", quality=92)
    print(f"wrote {root / 'digit.png'} and {root / 'photo.jpg'}")


if __name__ == "__main__":
    main()
