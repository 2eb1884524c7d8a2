"""FairQueue: what waits, in the order in which it is served: higher priorities first, within a priority an equal share
for each sender.

Start-time fair queueing (Goyal, Vin, Cheng 1996): the turns of one sender's items are two apart, and an item of a
sender that has nothing else waiting gets the next turn, before those of senders with many.
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
"""Priorities, numbered as in the Open Inference Protocol v2."""

# Turns of one priority are all below those of the next one.
_PRIORITY_STEP = 1 << 48
_STEP = 2


class QueueClass(NamedTuple):
    """A sender and a priority: what a queue orders items by."""

    priority: int = NORMAL
    """What has a higher one (a lower number) is served first, however much there is of it."""
    sender: str = ""
    """The name of an API key; empty for whoever shows none. Senders of one priority get equal shares."""


DEFAULT_CLASS = QueueClass()
"""Of requests without an API key that ask for no priority."""


@cache
def get_queue_class(priority: int, sender: str) -> QueueClass:
    """The same object for the same arguments: queue classes are compared by identity."""
    queue_class = QueueClass(priority, sender)
    return DEFAULT_CLASS if queue_class == DEFAULT_CLASS else queue_class


class Waits(Protocol):
    """An item of a FairQueue."""

    queue_class: QueueClass
    turn: int
    """Set and read by the queue alone: the item with the smallest turn is served first."""


Item = TypeVar("Item", bound=Waits)


class FairQueue(Generic[Item]):
    """While all items that wait are of one queue class, it is a plain queue: nothing is numbered or compared."""

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        """In the order in which they are served."""
        self.only: QueueClass | None = None
        """The queue class of all items that wait: an item of the same class may be appended to `items` directly. None
        where several classes wait, or have waited since the queue was last empty.
        """
        self._served: dict[int, int] = {}  # of each priority the turn of what was taken last

    def add(self, item: Item) -> None:
        """Insert an item behind all those that have the same turn or an earlier one."""
        if item.queue_class is self.only:
            self.items.append(item)
        elif not self.items:
            self.only = item.queue_class
            self.items.append(item)
        else:
            if self.only is not None:
                self._number()
            item.turn = self._find_turn(item.queue_class)
            self.items.insert(bisect_right(self.items, item.turn, key=attrgetter("turn")), item)

    def take_first(self) -> Item:
        """Remove and return the item whose turn it is. There must be one."""
        item = self.items.popleft()
        if self.only is None:
            self._served[item.queue_class.priority] = item.turn
        return item

    def put_back(self, items: Sequence[Item]) -> None:
        """Items that were taken last, in their order, are first again."""
        self.items.extendleft(reversed(items))
        self._number()

    def count_until_done(self, most: int) -> int:
        """How many items to take, `most` at the most, so that at least one sender has all of its items taken: the
        sender whose last item comes first, and all whose last item has the same turn. `most` where no sender's last
        item is among the first `most`.
        """
        if self.only is not None:
            return most
        go_on = {item.queue_class for item in islice(self.items, most, None)}
        last = {item.queue_class: (place, item.turn) for place, item in enumerate(islice(self.items, most), 1)}
        done = [end for queue_class, end in last.items() if queue_class not in go_on]
        if not done:
            return most
        _, turn = min(done)
        return max(place for place, other in done if other <= turn)

    def _number(self) -> None:
        """Give every item a turn, in the present order."""
        self.only = None
        self._served.clear()
        for place, item in enumerate(self.items, 1):
            item.turn = item.queue_class.priority * _PRIORITY_STEP + _STEP * place

    def _find_turn(self, queue_class: QueueClass) -> int:
        """Behind the sender's own last item or, where it has none, right behind the last one served of its priority."""
        for other in reversed(self.items):
            if other.queue_class is queue_class:
                return other.turn + _STEP
        return self._served.get(queue_class.priority, queue_class.priority * _PRIORITY_STEP) + 1
