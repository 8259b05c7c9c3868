"""Which film the viewer classifies next."""

import threading
from types import SimpleNamespace

from xray_infer.viewer.classifying import FilmQueue


def films(*names):
    return [SimpleNamespace(name=name) for name in names]


def taken(queue):
    return [None if one is None else (one[0], one[1].name) for one in queue]


def test_all_in_order_once():
    queue = FilmQueue()
    queue.add(films("a", "b"))
    queue.add(films("c"))
    queue.complete()
    assert taken(queue) == [(0, "a"), (1, "b"), (2, "c"), None]


def test_what_is_looked_at_comes_first_and_once():
    queue = FilmQueue()
    queue.add(films(*"abcdef"))
    queue.complete()
    order = iter(queue)
    places = [next(order)[0]]
    queue.prioritise(4)
    places.append(next(order)[0])
    queue.prioritise(4)  # again: it has its turn already
    queue.prioritise(0)
    places.append(next(order)[0])
    queue.prioritise(99)  # not listed yet
    places += [one[0] for one in order if one]
    assert places == [0, 4, 1, 2, 3, 5]


def test_it_says_that_it_waits_and_goes_on_when_more_come():
    queue = FilmQueue()
    queue.add(films("a"))
    order = iter(queue)
    assert next(order)[0] == 0
    assert next(order) is None
    threading.Timer(0.05, lambda: (queue.add(films("b")), queue.complete())).start()
    assert taken(order) == [(1, "b"), None]


def test_stopping_ends_it_also_while_it_waits():
    queue = FilmQueue()
    queue.add(films(*"abc"))
    order = iter(queue)
    next(order)
    queue.stop()
    assert taken(order) == [None]
    assert queue.stopped
    waiting = FilmQueue()
    threading.Timer(0.05, waiting.stop).start()
    assert taken(waiting) == [None]
