"""Which film the viewer judges next."""

import threading
from types import SimpleNamespace

from xray_infer.viewer.turns import Turns


def films(*names):
    return [SimpleNamespace(name=name) for name in names]


def taken(turns):
    return [None if one is None else (one[0], one[1].name) for one in turns]


def test_all_in_order_once():
    turns = Turns()
    turns.add(films("a", "b"))
    turns.add(films("c"))
    turns.complete()
    assert taken(turns) == [(0, "a"), (1, "b"), (2, "c"), None]


def test_what_is_looked_at_comes_first_and_once():
    turns = Turns()
    turns.add(films(*"abcdef"))
    turns.complete()
    order = iter(turns)
    places = [next(order)[0]]
    turns.want(4)
    places.append(next(order)[0])
    turns.want(4)  # again: it has its turn already
    turns.want(0)
    places.append(next(order)[0])
    turns.want(99)  # not listed yet
    places += [one[0] for one in order if one]
    assert places == [0, 4, 1, 2, 3, 5]


def test_it_says_that_it_waits_and_goes_on_when_more_come():
    turns = Turns()
    turns.add(films("a"))
    order = iter(turns)
    assert next(order)[0] == 0
    assert next(order) is None
    threading.Timer(0.05, lambda: (turns.add(films("b")), turns.complete())).start()
    assert taken(order) == [(1, "b"), None]


def test_stopping_ends_it_also_while_it_waits():
    turns = Turns()
    turns.add(films(*"abc"))
    order = iter(turns)
    next(order)
    turns.stop()
    assert taken(order) == [None]
    assert turns.stopped
    waiting = Turns()
    threading.Timer(0.05, waiting.stop).start()
    assert taken(waiting) == [None]
