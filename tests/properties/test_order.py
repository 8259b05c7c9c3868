"""Batching: any mixture of tasks gives one row a task, in order, each with its own picture's answer."""

from itertools import pairwise

from fake_model import SHADES, Shade, answer_to, fake_model
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_infer.run.engine import MOST_KNOWN, Engine, Task, _grouped
from xray_infer.run.results import RowMaker, Rules
from xray_infer.run.settings import EngineOptions

FEWER = settings(max_examples=settings.default.max_examples // 2)  # each example starts threads
MAKER = RowMaker("tiny", "ab" * 32, "fake 1", Rules())
KINDS = ("new", "known", "none", "broken")


def tasks_of(kinds: list[str]) -> list[Task | None]:
    """One task each: a picture of its own gray value, a known row, a file that is no picture; or None."""
    made: list[Task | None] = []
    for number, kind in enumerate(kinds):
        name, shade = f"{number}.png", number * 7 % SHADES
        known = MAKER.judged(name, answer_to(shade), None) if kind == "known" else None
        item = Shade(name, None if kind == "broken" else shade)
        made.append(None if kind == "none" else Task(item, "1 1", known))
    return made


SEQUENCES = st.lists(st.sampled_from(KINDS), max_size=40).map(tasks_of)
# Long runs of one kind: more known rows than may wait behind one batch.
RUNS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, MOST_KNOWN + 20)), max_size=4).map(
    lambda runs: tasks_of([kind for kind, count in runs for _ in range(count)])
)


@given(st.one_of(SEQUENCES, RUNS), st.integers(1, 9))
def test_groups_hold_every_task_once_in_order(tasks, batch_size):
    groups = list(_grouped(tasks, batch_size))
    assert [task for group in groups for task in group] == [task for task in tasks if task]
    for group in groups:
        known = {task.known is not None for task in group}
        assert len(known) <= 1  # one kind each
        assert len(group) <= (MOST_KNOWN if True in known else batch_size)
    # As few as there can be: a smaller one than allowed stands before another kind, a None, or the end.
    for group, following in pairwise(groups):
        if group and following and (group[0].known is None) == (following[0].known is None):
            assert len(group) == (batch_size if group[0].known is None else MOST_KNOWN)
    assert sum(not group for group in groups) == tasks.count(None)


@FEWER
@given(SEQUENCES, st.integers(1, 7), st.integers(1, 4))
def test_each_task_gets_its_row_in_order(tasks, batch_size, workers):
    options = EngineOptions(workers=workers, batch_size=batch_size)
    with Engine(fake_model(batch_size), options) as engine:
        outcomes = list(engine.run(tasks))
    wanted = [task for task in tasks if task]
    assert [outcome.task for outcome in outcomes] == wanted
    for outcome in outcomes:
        assert outcome.row.path == outcome.task.item.name
        check_answer(outcome.task, outcome.row)


def check_answer(task: Task, row) -> None:
    if task.known:
        assert row is task.known
        assert task.item.reads == []
        return
    assert task.item.reads == [task.item.name]
    if task.item.shade is None:
        assert (row.status, row.label, row.probabilities) == ("error", "", ())
        return
    expected = answer_to(task.item.shade)
    assert row.probabilities == expected
    # By the names themselves: another order of the classes would give another label.
    assert row.label == ("covid", "pneumonia", "normal")[expected.index(max(expected))]
    assert row.values()[f"prob_{row.label}"] == row.values()["confidence"] == round(max(expected), 6)


@FEWER
@given(st.lists(st.sampled_from(("new", "known", "broken")), min_size=1, max_size=20), st.integers(1, 5))
def test_a_pause_brings_out_all_rows_before_it(kinds, batch_size):
    """None says that the next task may take a while: nothing waits behind it."""
    before, seen = tasks_of(kinds), []

    def tasks():
        yield from before
        yield None
        assert seen == [task.item.name for task in before]
        yield from before

    with Engine(fake_model(batch_size), EngineOptions(workers=2, batch_size=batch_size)) as engine:
        for outcome in engine.run(tasks()):
            seen.append(outcome.row.path)
    assert len(seen) == 2 * len(before)
