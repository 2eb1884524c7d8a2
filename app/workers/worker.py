"""One of several processes that serve: `python -m app.workers.worker FD`, started by the supervisor, which it asks for
all that concerns every process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from typing import Any

import uvicorn

from app.aliases import Meaning, Shadow, write_shadow, write_target
from app.catalog.background import Background
from app.catalog.catalog import Catalog, Change
from app.catalog.control import observe_process
from app.catalog.repository import Look
from app.inference.decoder import Decoder
from app.inference.memory import measure_resident
from app.main import create_app
from app.observe.logs import set_up_logging
from app.observe.metrics import Snapshot, read_snapshot, write_snapshot
from app.server.guard import UnsupportedServer
from app.server.server import make_server
from app.server.sockets import open_socket
from app.settings import Settings
from app.workers.channel import Channel, open_channel, read_image, write_image
from app.workers.count import Report, ThreadedModel
from app.workers.handle import CANT_SERVE

# The methods of Orders that the supervisor calls.
_ORDERS = (
    *("prepare", "commit", "abort", "note", "unload", "forget"),
    *("set_traffic", "list_disagreements", "find_image", "use_settings", "report", "explain_unready", "snapshot"),
)


class SupervisedControl:
    """Control through the supervisor, which reaches every worker."""

    def __init__(self) -> None:
        self.channel: Channel  # once it is open

    async def start(self) -> None:
        """Does nothing: the worker itself has begun to load what the supervisor told it to."""

    async def load(self, name: str) -> None:
        await self.channel.call("load", name=name)

    async def unload(self, name: str) -> None:
        await self.channel.call("unload", name=name)

    async def set_alias(self, name: str, target: Meaning | None) -> bool:
        return bool(
            await self.channel.call("set_alias", name=name, target=None if target is None else write_target(target))
        )

    async def set_shadow(self, name: str, shadow: Shadow | None) -> bool:
        return bool(
            await self.channel.call("set_shadow", name=name, shadow=None if shadow is None else write_shadow(shadow))
        )

    async def list_disagreements(self, shadow: str) -> list[dict[str, Any]]:
        return list(await self.channel.call("list_disagreements", shadow=shadow))

    async def find_image(self, shadow: str, disagreement: str) -> bytes | None:
        return read_image(await self.channel.call("find_image", shadow=shadow, disagreement=disagreement))

    async def explain_unready(self) -> str:
        return str(await self.channel.call("explain_unready"))

    async def snapshot(self) -> Snapshot:
        return read_snapshot(await self.channel.call("snapshot"))

    async def close(self) -> None:
        """Does nothing: what the control does goes on in the supervisor."""


class Orders:
    """What the supervisor may tell this worker to do, on its own catalog alone."""

    def __init__(self) -> None:
        self.catalog: Catalog  # once the settings are known, as is the next
        self.decoder: Decoder
        self._changes: dict[str, Change] = {}

    async def prepare(self, look: dict[str, Any]) -> None:
        self._changes[look["name"]] = await self.catalog.prepare(Look.read(look))

    async def commit(self, name: str) -> None:
        self.catalog.commit(self._changes.pop(name))

    async def abort(self, name: str) -> None:
        if change := self._changes.pop(name, None):
            self.catalog.abort(change)

    async def note(self, look: dict[str, Any]) -> None:
        self.catalog.note(Look.read(look))

    async def unload(self, name: str) -> None:
        self.catalog.unload(name)

    async def forget(self, name: str) -> None:
        self.catalog.forget(name)

    async def set_traffic(self, traffic: dict[str, Any]) -> None:
        self.catalog.traffic.read(traffic)
        self.catalog.follow_traffic()

    async def list_disagreements(self, shadow: str) -> list[dict[str, Any]]:
        return self.catalog.disagreements.newest(shadow)

    async def find_image(self, shadow: str, disagreement: str) -> str | None:
        return write_image(await self.catalog.disagreements.find_image(shadow, disagreement))

    async def use_settings(self, settings: dict[str, Any]) -> None:
        shared = Settings(**settings)
        self.catalog.share(shared)
        self.decoder.set_threads(shared.decode_threads)

    async def report(self) -> dict[str, Any]:
        return self.measure().write()

    def measure(self) -> Report:
        """What the loaded models take on this machine, and how each is run."""
        models = self.catalog.loaded()
        on_cpu = [model for model in models if not model.device.is_cuda]
        return Report(
            inline=tuple(model.name for model in on_cpu if model.plan.inline),
            threaded=tuple(
                ThreadedModel(model.name, 1e3 * model.seconds_of_batch[1], 1e3 * model.seconds_in_lane[1])
                for model in on_cpu
                if not model.plan.inline
            ),
            gpus=tuple(sorted({device.index for model in models for device in model.devices if device.is_cuda})),
            memory=measure_resident(),
            model_memory=sum(model.memory_bytes for model in models),
        )

    async def explain_unready(self) -> str:
        return self.catalog.explain_unready()

    async def snapshot(self) -> Any:
        return write_snapshot(self.catalog.metrics.snapshot())


async def work(end: socket.socket) -> None:
    """Serve until told to stop, or until the supervisor is gone."""
    orders, control = Orders(), SupervisedControl()
    channel = control.channel = await open_channel(end, {name: getattr(orders, name) for name in _ORDERS})
    background = Background()
    listening = background.start("the channel to the supervisor", channel.run())
    job = await channel.call("start")
    settings = Settings(**job["settings"])
    set_up_logging(settings.log_level, settings.log_format, f"worker {os.getpid()}")
    catalog = orders.catalog = Catalog(settings)
    catalog.metrics.observe_with(observe_process)
    catalog.traffic.read(job["traffic"])
    app = create_app(settings, catalog, control, job["rates_file"])
    orders.decoder = app.state.services.decoder
    server = make_server(app, settings, shared=True)
    listening.add_done_callback(lambda _: setattr(server, "should_exit", True))
    catalog.start([Look.read(look) for look in job["looks"]], job["unloaded"], job["problem"])
    background.start("reporting that every model was tried", _tell_when_ready(orders, server, channel))
    if job["replaces"]:  # the others serve: take no connections before there is something to answer them with
        await catalog.wait_until_tried()
    await server.serve(sockets=[open_socket(settings.host, settings.port, shared=True)])
    await background.close()


async def _tell_when_ready(orders: Orders, server: uvicorn.Server, channel: Channel) -> None:
    """Report that every model was tried, once connections are taken, too."""
    await orders.catalog.wait_until_tried()
    while not server.started:
        await asyncio.sleep(0.005)
    await channel.call("tried", report=orders.measure().write())


def main() -> None:
    end = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvicorn.Config(app="").get_loop_factory()) as runner:
        try:
            runner.run(work(end))
        except UnsupportedServer as error:
            logging.getLogger(__name__).error("%s", error)
            sys.exit(CANT_SERVE)


if __name__ == "__main__":
    main()
