"""FairQueue: what waits, in the order in which it is served: higher classes first, within a class an equal share for
each sender.

Fair queueing by start times (Goyal, Vin, Cheng 1996): each sender's items have turns two apart, and one that waits for
nothing else has the next turn there is, before whoever has many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from functools import cache
from itertools import islice
from operator import attrgetter
from typing import Generic, NamedTuple, Protocol, TypeVar

HIGHEST, NORMAL, LOWEST = 1, 2, 3
"""The classes, numbered as in the Open Inference Protocol v2."""

# Turns of one class are all below those of the next one.
_CLASS = 1 << 48
_STEP = 2


class Standing(NamedTuple):
    """Whom something waits for."""

    priority: int = NORMAL
    """The class: what is of a higher one (a lower number) is served first, however much there is of it."""
    key: str = ""
    """The sender: those of one class get equal shares."""


PLAIN = Standing()
"""Of whoever shows no key and asks for no priority."""


@cache
def find_standing(priority: int, key: str) -> Standing:
    """The same one for the same arguments: standings are told apart by identity."""
    standing = Standing(priority, key)
    return PLAIN if standing == PLAIN else standing


class Waits(Protocol):
    """Something that can stand in a FairQueue."""

    standing: Standing
    turn: int
    """The queue's own: what has a smaller one is served first."""


Item = TypeVar("Item", bound=Waits)


class FairQueue(Generic[Item]):
    """While all that waits is one sender's, it is a plain queue: nothing is numbered or compared."""

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        """In the order in which they are served."""
        self.only: Standing | None = None
        """Of all that waits: what is of it, too, may go straight to the end. None where several wait, or have since the
        queue was last empty.
        """
        self._served: dict[int, int] = {}  # of each class the turn of what was taken last

    def add(self, item: Item) -> None:
        """Where it belongs: behind what has its turn before."""
        if item.standing is self.only:
            self.items.append(item)
        elif not self.items:
            self.only = item.standing
            self.items.append(item)
        else:
            if self.only is not None:
                self._number()
            item.turn = self._find_turn(item.standing)
            self.items.insert(bisect_right(self.items, item.turn, key=attrgetter("turn")), item)

    def take_first(self) -> Item:
        """The one whose turn it is. There must be one."""
        item = self.items.popleft()
        if self.only is None:
            self._served[item.standing.priority] = item.turn
        return item

    def put_back(self, items: Sequence[Item]) -> None:
        """Those that were taken last, in their order, are first again."""
        self.items.extendleft(reversed(items))
        self._number()

    def count_until_done(self, most: int) -> int:
        """How many items to take, `most` at the most, so that at least one sender has all of its items taken: the
        sender whose last item comes first, and all whose last item has the same turn. `most` where no sender's last
        item is among the first `most`.
        """
        if self.only is not None:
            return most
        go_on = {item.standing for item in islice(self.items, most, None)}
        last = {item.standing: (place, item.turn) for place, item in enumerate(islice(self.items, most), 1)}
        done = [end for standing, end in last.items() if standing not in go_on]
        if not done:
            return most
        _, turn = min(done)
        return max(place for place, other in done if other <= turn)

    def _number(self) -> None:
        """Give everything that waits a turn, in the order that there is."""
        self.only = None
        self._served.clear()
        for place, item in enumerate(self.items, 1):
            item.turn = item.standing.priority * _CLASS + _STEP * place

    def _find_turn(self, standing: Standing) -> int:
        """Behind the sender's own last one or, where it has none, right behind what its class was served last."""
        for other in reversed(self.items):
            if other.standing is standing:
                return other.turn + _STEP
        return self._served.get(standing.priority, standing.priority * _CLASS) + 1
