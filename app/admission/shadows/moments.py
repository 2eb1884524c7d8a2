"""IdleMoments: when a process has nothing to do. Knows nothing of what is done then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from app.batching.batcher import Batcher
from app.batching.spare import Spare
from app.catalog.catalog import Catalog
from app.inference.scores import Scores
from artifact.images.frame import Pixels

# Seconds for which no model that runs on the event loop may have had a row. Such a model is idle after every turn of
# the loop; clients that ask again as soon as they are answered, enough of them to keep a process busy, are back sooner.
# A model that runs in threads is hardly ever idle under such clients: two turns of the loop show it.
CALM_S = 0.001


class IdleMoments:
    """Calls `call` when no model of the process has had a row for a moment, and the process has cores to spare. Owned
    by the event loop.
    """

    def __init__(self, catalog: Catalog, call: Callable[[], None], spare: Spare | None = None) -> None:
        """`spare` knows the cores of `catalog`, unless another one is given."""
        self._catalog = catalog
        self._call = call
        self._spare = spare or Spare(lambda: catalog.cores)
        self._is_awaited = False
        self._context = Context()  # what is logged then is about no request

    def wait(self) -> None:
        """Call back once, in the next idle moment; does nothing where one is awaited already."""
        if not self._is_awaited:
            self._is_awaited = True
            asyncio.get_running_loop().call_soon(self._look, context=self._context)

    def go_on(self) -> None:
        """The work of an idle moment is done: call back again at once if nothing has come meanwhile, otherwise in the
        next idle moment.
        """
        if not self._is_awaited:
            self._is_awaited = True
            self._call_after_next_turn(self._look_on)

    def _call_after_next_turn(self, call: Callable[[], None]) -> None:
        """By then all that has arrived by now is known."""
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(call, context=self._context), context=self._context)

    def _look_on(self) -> None:
        if self._find_busy() is None and self._spare.is_there():
            self._is_awaited = False
            self._call()
        else:
            self._look()

    def _look(self) -> None:
        """Where this isn't the moment, look again as soon as it may be."""
        loop = asyncio.get_running_loop()
        if not self._spare.is_there():
            loop.call_later(self._spare.wait_s, self._look, context=self._context)
        elif (busy := self._find_busy()) is not None:
            busy.call_when_idle(lambda: self._call_after_next_turn(self._look))
        elif (wait_s := self._last_busy + CALM_S - loop.time()) > 0:
            loop.call_later(wait_s, self._look, context=self._context)
        else:
            self._is_awaited = False
            self._call()

    def _find_busy(self) -> Batcher[Pixels, Scores] | None:
        return next((model.batcher for model in self._catalog.loaded() if not model.batcher.is_idle), None)

    @property
    def _last_busy(self) -> float:
        return max((model.batcher.last_busy for model in self._catalog.loaded() if model.batcher.inline), default=0.0)
