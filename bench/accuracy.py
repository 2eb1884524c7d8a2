"""Accuracy as a client sees it: every test image of a data set posted to a running service, each answer counted.

python -m bench.accuracy lenet5-mnist --dataset mnist --url http://127.0.0.1:8000
"""

from __future__ import annotations

import argparse
import asyncio

import httpx2

from artifact.images.formats import MEDIA_TYPES
from export.cli.options import add_data_dir
from export.data.datasets import load_dataset
from export.data.samples import Samples
from export.progress import Progress

CONNECTIONS = 8


async def count_right(url: str, model: str, samples: Samples) -> tuple[int, int]:
    """Post every image of `samples`; returns how many got their class as top-1 and as one of the top 5."""
    right, near = 0, 0
    waiting = iter(range(len(samples)))
    limits = httpx2.Limits(max_connections=CONNECTIONS)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        with Progress(f"posting to {model}", len(samples)) as progress:

            async def post_images() -> None:
                nonlocal right, near
                for index in waiting:
                    data, suffix = samples.encoded(index)
                    headers = {"Content-Type": MEDIA_TYPES.get(suffix, "application/octet-stream")}
                    answer = await client.post(f"/predict/{model}", content=data, headers=headers)
                    if answer.status_code == 404:
                        raise SystemExit(answer.json()["detail"])
                    answer.raise_for_status()
                    classes = [entry["index"] for entry in answer.json()["predictions"][0]["classes"]]
                    right += classes[0] == samples.labels[index]
                    near += int(samples.labels[index]) in classes[:5]
                    progress.advance()

            await asyncio.gather(*(post_images() for _ in range(CONNECTIONS)))
    return right, near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the service (default: %(default)s)")
    add_data_dir(parser)
    options = parser.parse_args()
    samples = load_dataset(options.dataset, options.data_dir).test
    right, near = asyncio.run(count_right(options.url, options.model, samples))
    print(
        f"{options.model}: {len(samples):,} images of {options.dataset} posted, "
        f"top-1 {right / len(samples):.2%} ({right:,} right), top-5 {near / len(samples):.2%}"
    )


if __name__ == "__main__":
    main()
