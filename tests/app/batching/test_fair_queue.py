"""Who is served before whom, as a specification."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.batching.fair_queue import DEFAULT_CLASS, HIGHEST, LOWEST, NORMAL, FairQueue, QueueClass, get_queue_class


@dataclass(eq=False)
class Item:
    name: str
    queue_class: QueueClass
    turn: int = 0


def make_items(text: str, priority: int = NORMAL) -> list[Item]:
    """One for each letter, which is its sender; a dot is whoever shows no key."""
    return [Item(letter, get_queue_class(priority, "" if letter == "." else letter)) for letter in text]


def fill(queue: FairQueue[Item], text: str, priority: int = NORMAL) -> None:
    for item in make_items(text, priority):
        queue.add(item)


def read(queue: FairQueue[Item]) -> str:
    return "".join(item.name for item in queue.items)


def take(queue: FairQueue[Item], count: int) -> str:
    return "".join(queue.take_first().name for _ in range(count))


def test_one_sender_is_served_in_the_order_of_its_items_and_nothing_is_numbered() -> None:
    queue: FairQueue[Item] = FairQueue()
    items = make_items("....")
    for item in items:
        queue.add(item)
    assert queue.only is DEFAULT_CLASS
    assert list(queue.items) == items
    assert {item.turn for item in items} == {0}


def test_a_higher_class_goes_first_whatever_came_before() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "aaa", LOWEST)
    fill(queue, "bbb", NORMAL)
    fill(queue, "cc", HIGHEST)
    fill(queue, "b", NORMAL)
    assert read(queue) == "ccbbbbaaa"


def test_two_senders_of_a_class_take_turns_however_much_the_first_one_brought() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "aaaaaa")
    fill(queue, "bbb")
    assert read(queue) == "bababaaaa"


def test_one_item_goes_before_those_of_a_sender_with_many() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "a" * 50)
    assert take(queue, 10) == "a" * 10
    fill(queue, "b")
    assert take(queue, 2) == "ba"
    fill(queue, "a" * 50)
    fill(queue, "b")
    assert take(queue, 2) == "ba"


def test_senders_with_one_item_each_are_served_in_the_order_in_which_they_came() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "zzzzz")
    fill(queue, "abcdef")
    assert read(queue) == "abcdefzzzzz"


def test_whoever_was_served_last_stands_behind_the_others_turn() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "aaaa")
    fill(queue, "b")
    assert take(queue, 1) == "b"
    fill(queue, "b")  # at once again, before anybody else had a turn
    assert read(queue) == "abaaa"


def test_nothing_is_remembered_of_items_that_were_let_go() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "aaaa")
    fill(queue, "b" * 100)
    for item in [item for item in queue.items if item.name == "b"]:
        queue.items.remove(item)
    fill(queue, "b")
    assert read(queue) == "baaaa"


def test_what_is_put_back_is_first_again_and_may_be_overtaken() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "aaaaa")
    taken = [queue.take_first() for _ in range(3)]
    fill(queue, "a")
    queue.put_back(taken)
    assert read(queue) == "aaaaaa"
    assert list(queue.items)[:3] == taken
    fill(queue, "b")
    assert read(queue) == "baaaaaa"


def test_an_empty_line_begins_anew() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "ab")
    take(queue, 2)
    fill(queue, "bb")
    assert queue.only is not None
    fill(queue, "a")
    assert read(queue) == "abb"


def test_a_batch_is_done_with_the_last_item_of_whoever_waits_for_no_more() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "a" * 20)
    assert queue.count_until_done(8) == 8, "nobody else is held up"
    fill(queue, "bb")
    assert read(queue).startswith("baba")
    assert queue.count_until_done(8) == 3


def test_many_senders_with_one_item_each_share_a_batch() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "z" * 20)
    fill(queue, "abcdef")
    assert queue.count_until_done(16) == 6
    assert queue.count_until_done(4) == 4


def test_two_senders_with_many_items_share_a_whole_batch() -> None:
    queue: FairQueue[Item] = FairQueue()
    fill(queue, "a" * 20)
    fill(queue, "b" * 20)
    assert queue.count_until_done(8) == 8


def test_who_shows_no_key_and_asks_for_nothing_is_always_the_same() -> None:
    assert get_queue_class(NORMAL, "") is DEFAULT_CLASS
    assert get_queue_class(HIGHEST, "a") is get_queue_class(HIGHEST, "a")
    assert get_queue_class(HIGHEST, "a") is not get_queue_class(HIGHEST, "b")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 4)), max_size=60))
def test_classes_are_strict_and_senders_keep_their_own_order(steps: list[tuple[str, int, int]]) -> None:
    queue: FairQueue[Item] = FairQueue()
    added: list[Item] = []
    for name, priority, served in steps:
        item = Item(name, get_queue_class(priority, name))
        queue.add(item)
        added.append(item)
        for _ in range(min(served, len(queue.items) - 1)):
            best = min(waiting.queue_class.priority for waiting in queue.items)
            taken = queue.take_first()
            assert taken.queue_class.priority == best
            assert taken is next(other for other in added if other.queue_class is taken.queue_class)
            added.remove(taken)
    assert Counter(map(id, queue.items)) == Counter(map(id, added))


@given(st.integers(2, 5), st.integers(1, 6), st.integers(1, 100))
def test_senders_who_always_wait_are_served_equally(senders: int, ahead: int, rounds: int) -> None:
    queue: FairQueue[Item] = FairQueue()
    names = "abcde"[:senders]
    for name in names:
        fill(queue, name * ahead)
    served: Counter[str] = Counter()
    for _ in range(rounds * senders):
        name = take(queue, 1)
        served[name] += 1
        fill(queue, name)
    assert max(served.values()) - min(served[name] for name in names) <= 2
