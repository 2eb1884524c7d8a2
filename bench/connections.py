"""python -m bench.connections: ten minutes of connections that come and go. Nothing of them may stay behind.

Of five connections three ask once and close, one is closed before its answer comes, and one in the middle of its body.
The memory is read at the end of each minute. Passes where it is at most 1 % above that of the first minute's end, and
every answer was right.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter

import uvloop

from app.client.load.connection import Connection, Request
from app.client.terminal import end_like_ctrl_c
from bench.service import WHITE, read_memory, running, stop
from bench.verdict import print_bounds

_CLIENTS = 16
_GROWTH = 0.01
_MINUTE_S = 60.0


async def come_and_go(port: int, pid: int, minutes: int) -> tuple[Counter[str], list[float]]:
    """What became of the connections, and the resident megabytes at the end of each minute."""
    request = Request("/predict/tiny", WHITE, {"Content-Type": "image/png"})
    whole = request.encode()
    seen: Counter[str] = Counter()
    until = time.monotonic() + minutes * _MINUTE_S

    async def ask() -> None:
        connection = Connection(port)
        answer = await connection.send(request)
        connection.close()
        is_right = answer.status == 200 and json.loads(answer.body)["predictions"][0]["classes"][0]["index"] == 4
        seen["right" if is_right else "wrong"] += 1

    async def leave(sent: bytes, kind: str) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await writer.drain()
        writer.close()
        seen[kind] += 1

    async def visit() -> None:
        while time.monotonic() < until:
            for _ in range(3):
                await ask()
            await leave(whole, "left before the answer")
            await leave(whole[:-20], "left within the body")

    async def watch() -> list[float]:
        megabytes = []
        for _ in range(minutes):
            await asyncio.sleep(_MINUTE_S)
            megabytes.append(read_memory(pid))
        return megabytes

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        for _ in range(_CLIENTS):
            group.create_task(visit())
    return seen, watching.result()


@end_like_ctrl_c()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10, help="from 2")
    given = parser.parse_args()
    if given.minutes < 2:
        parser.error(f"--minutes is {given.minutes}: the first is what the others are compared with, so give 2 or more")
    with running("--workers", "1") as server:
        seen, megabytes = uvloop.run(come_and_go(server.port, server.process.pid, given.minutes))
        status = stop(server)
    growth = max(megabytes[1:]) / megabytes[0] - 1
    print(f"{sum(seen.values()):,} connections in {given.minutes} minutes: {dict(seen)}")
    print(f"memory at the end of each minute, MB: {', '.join(f'{value:.1f}' for value in megabytes)}")
    print(f"most after the first minute: {growth:+.2%}; exit status {status}")
    kept = {
        f"memory at most +{_GROWTH:.0%}": growth <= _GROWTH,
        "every answer right": seen["right"] > 0 and not seen["wrong"],
        "exit status 0": status == 0,
    }
    return print_bounds(kept)


if __name__ == "__main__":
    raise SystemExit(main())
