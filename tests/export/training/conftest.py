from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.data.datasets import load_dataset


@pytest.fixture(scope="session")
def digit_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three digits as PNGs in class folders: small photos, for a network that was trained on something else."""
    root = tmp_path_factory.mktemp("folders") / "three-digits"
    digits = load_dataset("digits", None)
    assert digits.train is not None
    for name, label in (("zero", 0), ("one", 1), ("seven", 7)):
        (root / name).mkdir(parents=True)
        for index in np.flatnonzero(digits.train.labels == label)[:50]:
            (root / name / f"{index}.png").write_bytes(digits.train.encoded(int(index))[0])
    return root
