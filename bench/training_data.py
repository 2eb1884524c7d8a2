"""How fast training gets its batches from a data set as a folder, a manifest, Parquet, a tar, and from a cache.

    python -m bench.training_data --data-dir DATA          # about a minute; writes 1 GB into a temporary folder

The photos of DATA/photos, each copied under a comment of its own so that no two files are the same, are made a data set
of every form; a network of 224x224 is fed by `Batches` as training feeds it, without augmentation.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image
from export.cli.options import add_data_dir
from export.cli.quiet_import import load_keras
from export.data.datasets import load_dataset
from export.data.preprocessing import preset
from export.data.samples import Samples
from export.data.stored.pixel_cache import CachedSamples, PixelCache
from tests.makers.stored_sets import write_folder, write_manifest, write_table, write_tar

_BATCH = 32
_POLICY = ImagePolicy(height=224, width=224, channels=3, fit="crop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_dir(parser)
    parser.add_argument("--copies", type=int, default=40, help="of each photo (default: %(default)s)")
    options = parser.parse_args()
    load_keras()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), dict(_copy_photos(options.data_dir, options.copies)))


def _copy_photos(data_dir: Path, copies: int) -> Iterator[tuple[str, bytes]]:
    photos = load_dataset("photos", data_dir).test
    for copy in range(copies):
        for index in range(len(photos)):
            content, _ = photos.encoded(index)
            comment = b"\xff\xfe\x00\x06" + copy.to_bytes(4)
            yield f"{index % 2}/{index:02}-{copy:03}.jpg", content[:2] + comment + content[2:]


def _measure(root: Path, images: dict[str, bytes]) -> None:
    classes = ("0", "1")
    forms = {
        "folder": write_folder(images, root / "folder"),
        "manifest": write_manifest(images, root / "listed/photos.csv"),
        "parquet": write_table(images, root / "photos.parquet", classes),
        "tar": write_tar(images, root / "photos.tar"),
    }
    print(f"{len(images):,} photos, {sum(map(len, images.values())) / len(images) / 1000:,.0f} kB each")
    _compare_threads(list(images.values())[:500])
    for name, path in forms.items():
        began = time.perf_counter()
        dataset = load_dataset(str(path), None)
        opened = time.perf_counter() - began
        assert dataset.train is not None
        rates = [_run_epoch(dataset.train, epoch) for epoch in range(3)]
        print(f"{name}: opened and checked in {opened:.1f} s; images/s of each epoch: {_list(rates)}; {_peak()}")
    assert dataset.train is not None  # the last one
    for word in ("first", "later"):
        cache = PixelCache(root / "cache", _POLICY, 10**10)
        rates = [_run_epoch(CachedSamples(dataset.train, cache), epoch) for epoch in range(3)]
        print(f"{word} training with a cache, from the tar: images/s of each epoch: {_list(rates)}; {_peak()}")
        del cache


def _run_epoch(samples: Samples, epoch: int) -> float:
    from export.training.batches import Batches

    batches = Batches(samples, np.arange(len(samples)), 2, _POLICY, preset("torch", 3), _BATCH, seed=0, epoch=epoch)
    began = time.perf_counter()
    for index in range(len(batches)):
        batches[index]
    return len(samples) / (time.perf_counter() - began)


def _compare_threads(images: list[bytes]) -> None:
    """Where threads held the interpreter's lock, two would be no faster than one."""
    rates = []
    for threads in (1, 2):
        with ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            list(pool.map(lambda content: decode_image(content, _POLICY), images))
            rates.append(len(images) / (time.perf_counter() - began))
    print(f"decoding in one thread {rates[0]:,.0f} images/s, in two {rates[1]:,.0f} ({rates[1] / rates[0]:.2f} times)")


def _list(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)


def _peak() -> str:
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB"


if __name__ == "__main__":
    main()
