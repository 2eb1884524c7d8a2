"""Who is served before whom, as a specification."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.batching.line import HIGHEST, LOWEST, NORMAL, PLAIN, Line, Standing, find_standing


@dataclass(eq=False)
class Item:
    name: str
    standing: Standing
    turn: int = 0


def make_items(text: str, priority: int = NORMAL) -> list[Item]:
    """One for each letter, which is its sender; a dot is whoever shows no key."""
    return [Item(letter, find_standing(priority, "" if letter == "." else letter)) for letter in text]


def fill(line: Line[Item], text: str, priority: int = NORMAL) -> None:
    for item in make_items(text, priority):
        line.add(item)


def read(line: Line[Item]) -> str:
    return "".join(item.name for item in line.items)


def take(line: Line[Item], count: int) -> str:
    return "".join(line.take_first().name for _ in range(count))


def test_one_sender_is_served_in_the_order_of_its_items_and_nothing_is_numbered() -> None:
    line: Line[Item] = Line()
    items = make_items("....")
    for item in items:
        line.add(item)
    assert line.only is PLAIN
    assert list(line.items) == items
    assert {item.turn for item in items} == {0}


def test_a_higher_class_goes_first_whatever_came_before() -> None:
    line: Line[Item] = Line()
    fill(line, "aaa", LOWEST)
    fill(line, "bbb", NORMAL)
    fill(line, "cc", HIGHEST)
    fill(line, "b", NORMAL)
    assert read(line) == "ccbbbbaaa"


def test_two_senders_of_a_class_take_turns_however_much_the_first_one_brought() -> None:
    line: Line[Item] = Line()
    fill(line, "aaaaaa")
    fill(line, "bbb")
    assert read(line) == "bababaaaa"


def test_one_item_goes_before_those_of_a_sender_with_many() -> None:
    line: Line[Item] = Line()
    fill(line, "a" * 50)
    assert take(line, 10) == "a" * 10
    fill(line, "b")
    assert take(line, 2) == "ba"
    fill(line, "a" * 50)
    fill(line, "b")
    assert take(line, 2) == "ba"


def test_senders_with_one_item_each_are_served_in_the_order_in_which_they_came() -> None:
    line: Line[Item] = Line()
    fill(line, "zzzzz")
    fill(line, "abcdef")
    assert read(line) == "abcdefzzzzz"


def test_whoever_was_served_last_stands_behind_the_others_turn() -> None:
    line: Line[Item] = Line()
    fill(line, "aaaa")
    fill(line, "b")
    assert take(line, 1) == "b"
    fill(line, "b")  # at once again, before anybody else had a turn
    assert read(line) == "abaaa"


def test_nothing_is_remembered_of_items_that_were_let_go() -> None:
    line: Line[Item] = Line()
    fill(line, "aaaa")
    fill(line, "b" * 100)
    for item in [item for item in line.items if item.name == "b"]:
        line.items.remove(item)
    fill(line, "b")
    assert read(line) == "baaaa"


def test_what_is_put_back_is_first_again_and_may_be_overtaken() -> None:
    line: Line[Item] = Line()
    fill(line, "aaaaa")
    taken = [line.take_first() for _ in range(3)]
    fill(line, "a")
    line.put_back(taken)
    assert read(line) == "aaaaaa"
    assert list(line.items)[:3] == taken
    fill(line, "b")
    assert read(line) == "baaaaaa"


def test_an_empty_line_begins_anew() -> None:
    line: Line[Item] = Line()
    fill(line, "ab")
    take(line, 2)
    fill(line, "bb")
    assert line.only is not None
    fill(line, "a")
    assert read(line) == "abb"


def test_a_batch_is_done_with_the_last_item_of_whoever_waits_for_no_more() -> None:
    line: Line[Item] = Line()
    fill(line, "a" * 20)
    assert line.count_until_done(8) == 8, "nobody else is held up"
    fill(line, "bb")
    assert read(line).startswith("baba")
    assert line.count_until_done(8) == 3


def test_many_senders_with_one_item_each_share_a_batch() -> None:
    line: Line[Item] = Line()
    fill(line, "z" * 20)
    fill(line, "abcdef")
    assert line.count_until_done(16) == 6
    assert line.count_until_done(4) == 4


def test_two_senders_with_many_items_share_a_whole_batch() -> None:
    line: Line[Item] = Line()
    fill(line, "a" * 20)
    fill(line, "b" * 20)
    assert line.count_until_done(8) == 8


def test_who_shows_no_key_and_asks_for_nothing_is_always_the_same() -> None:
    assert find_standing(NORMAL, "") is PLAIN
    assert find_standing(HIGHEST, "a") is find_standing(HIGHEST, "a")
    assert find_standing(HIGHEST, "a") is not find_standing(HIGHEST, "b")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 4)), max_size=60))
def test_classes_are_strict_and_senders_keep_their_own_order(steps: list[tuple[str, int, int]]) -> None:
    line: Line[Item] = Line()
    added: list[Item] = []
    for name, priority, served in steps:
        item = Item(name, find_standing(priority, name))
        line.add(item)
        added.append(item)
        for _ in range(min(served, len(line.items) - 1)):
            best = min(waiting.standing.priority for waiting in line.items)
            taken = line.take_first()
            assert taken.standing.priority == best
            assert taken is next(other for other in added if other.standing is taken.standing)
            added.remove(taken)
    assert Counter(map(id, line.items)) == Counter(map(id, added))


@given(st.integers(2, 5), st.integers(1, 6), st.integers(1, 100))
def test_senders_who_always_wait_are_served_equally(senders: int, ahead: int, rounds: int) -> None:
    line: Line[Item] = Line()
    names = "abcde"[:senders]
    for name in names:
        fill(line, name * ahead)
    served: Counter[str] = Counter()
    for _ in range(rounds * senders):
        name = take(line, 1)
        served[name] += 1
        fill(line, name)
    assert max(served.values()) - min(served[name] for name in names) <= 2
