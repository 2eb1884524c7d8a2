"""Piece e: JPEG decoding on the cores beside nvImageCodec on the GPU, where that is installed."""

from __future__ import annotations

import importlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg

from app.machine import count_cores
from artifact.images.decode import decode_image
from bench.gpu.pictures import golden_files
from bench.gpu.plan import Plan, Step
from bench.gpu.timing import median_seconds

BATCHES = (1, 8, 32, 64)
# libjpeg interpolates chroma; without this option nvJPEG repeats the nearest, up to dozens of levels away.
OPTIONS = ":fancy_upsampling=1"


def steps(plan: Plan) -> Iterator[Step]:
    name = next((name for name in plan.served if plan.open(name).card.image.channels == 3), None)
    if name is None:
        yield "photos", lambda: {"skipped": "no network of the plan reads photos"}
        return
    photos = golden_files(plan.open(name))
    policy = plan.open(name).card.image
    yield "cores", lambda: decode_on_cores(lambda image: decode_image(image, policy), photos, plan.seconds)
    yield "cores, whole photos", lambda: decode_on_cores(simplejpeg.decode_jpeg, photos, plan.seconds)
    if plan.device.is_cuda:
        yield "nvImageCodec", lambda: _try_codec(plan, photos)


def decode_on_cores(decode: Callable[[bytes], object], photos: Sequence[bytes], seconds: float) -> dict[str, Any]:
    """Images a second by 1, 2, 4, ... threads and one for each core."""
    cores = count_cores()
    counts = [*itertools.takewhile(lambda count: count < cores, (2**power for power in range(12))), cores]
    return {"cores": cores, "images_per_s": {str(count): _rate(decode, photos, count, seconds) for count in counts}}


def _rate(decode: Callable[[bytes], object], photos: Sequence[bytes], threads: int, seconds: float) -> float:
    end = time.perf_counter() + seconds

    def work(place: int) -> int:
        for done in itertools.count(1):
            decode(photos[(place + done) % len(photos)])
            if time.perf_counter() >= end:
                break
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(work, range(threads)))
    return done / (time.perf_counter() - start)


def _try_codec(plan: Plan, photos: Sequence[bytes]) -> dict[str, Any]:
    try:
        codec = importlib.import_module("nvidia.nvimgcodec")
    except ImportError:
        return {"skipped": "nvImageCodec isn't installed (nvidia-nvimgcodec-cu13[nvjpeg])"}
    return decode_on_gpu(codec, plan, photos)


def decode_on_gpu(codec: Any, plan: Plan, photos: Sequence[bytes]) -> dict[str, Any]:
    """nvImageCodec's pixels beside ours, and whole photos a second by the size of a batch; they stay on the device."""
    decoder = codec.Decoder(device_id=plan.device.index, options=OPTIONS)
    theirs = [np.asarray(image.cpu()) for image in decoder.decode(list(photos))]
    rates = {}
    for size in BATCHES:
        batch = list(itertools.islice(itertools.cycle(photos), size))
        rates[str(size)] = size / median_seconds(partial(decoder.decode, batch), plan.seconds)
    return {"images_per_s": rates, **compare_pixels([simplejpeg.decode_jpeg(photo) for photo in photos], theirs)}


def compare_pixels(ours: Sequence[npt.NDArray[Any]], theirs: Sequence[npt.NDArray[Any]]) -> dict[str, float]:
    """The largest and the mean difference of two decoders' images of the same files, uint8 [h, w, 3] each, in levels of
    0 to 255.
    """
    apart = [np.abs(a.astype(np.int16) - b.astype(np.int16)) for a, b in zip(ours, theirs, strict=True)]
    return {
        "worst_levels": float(max(a.max() for a in apart)),
        "mean_levels": float(np.mean([a.mean() for a in apart])),
    }
