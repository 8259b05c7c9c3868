"""Tasks to outcomes: order, known rows, pauses, bounded memory."""

import threading

import numpy as np
import pytest
from approved import approved
from specimens import png

from xray_infer.classifier import BytesItem
from xray_infer.errors import ReadError, RejectedError
from xray_infer.model.runtimes import find_model
from xray_infer.run.engine import IN_FLIGHT, MOST_KNOWN, Engine, Task
from xray_infer.run.settings import EngineOptions

SAYS = approved("xray-infer")


@pytest.fixture
def items(xray):
    return [BytesItem(png(np.roll(xray, 9 * number, axis=0)), f"{number}.png") for number in range(24)]


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (2, 1), (2, 4), (3, 5)])
def test_known_rows_keep_their_place_and_are_not_read(items, tiny_onnx, workers, batch_size):
    options = EngineOptions(workers=workers, batch_size=batch_size)
    with Engine(find_model(tiny_onnx), options) as engine:
        rows = [outcome.row for outcome in engine.run(Task(item) for item in items)]
        for pattern in (1, 2, 3, 7, 24):
            known = [rows[number] if number % pattern else None for number in range(24)]
            unread = [
                BytesItem(b"", item.name) if row else item for item, row in zip(items, known, strict=True)
            ]
            tasks = [Task(item, "", row) for item, row in zip(unread, known, strict=True)]
            outcomes = list(engine.run(tasks))
            assert [outcome.task.item.name for outcome in outcomes] == [item.name for item in items]
            assert [outcome.row.status for outcome in outcomes] == ["ok"] * 24
            for outcome, row in zip(outcomes, rows, strict=True):
                assert outcome.row.probabilities == pytest.approx(row.probabilities, abs=1e-6)


def test_none_finishes_what_is_in_flight(items, tiny_onnx):
    with Engine(find_model(tiny_onnx), EngineOptions(workers=2, batch_size=4)) as engine:
        seen = []

        def tasks():
            for item in items[:5]:
                yield Task(item)
            yield None
            assert len(seen) == 5  # all rows are out before the next task is asked for
            yield None
            yield Task(items[5])

        for outcome in engine.run(tasks()):
            seen.append(outcome.row.path)
    assert seen == [item.name for item in items[:6]]


def test_tasks_are_taken_only_a_few_ahead(items, tiny_onnx):
    with Engine(find_model(tiny_onnx), EngineOptions(workers=2, batch_size=2)) as engine:
        row = next(engine.run([Task(items[0])])).row
        for task, most in (
            (Task(items[0]), (2 * IN_FLIGHT + 1) * 2),
            (Task(items[0], "", row), (2 * IN_FLIGHT + 1) * MOST_KNOWN),
        ):
            taken = []

            def endless(task=task, taken=taken):
                while True:
                    taken.append(1)
                    yield task

            outcomes = engine.run(endless())
            for _ in range(3):
                next(outcomes)
            outcomes.close()
            assert len(taken) <= most


class Failing(BytesItem):
    error = ReadError("gone")

    def read(self, limits):
        raise self.error


def test_what_another_run_may_read_is_not_final(tiny_onnx):
    class Rejected(Failing):
        error = RejectedError("a CT slice")

    tasks = [Task(kind(b"", "x")) for kind in (Failing, Rejected, BytesItem)]
    with Engine(find_model(tiny_onnx), EngineOptions(workers=1)) as engine:
        outcomes = list(engine.run(tasks))
    assert [(one.row.status, one.row.reason, one.final) for one in outcomes] == [
        ("error", "gone", False),
        ("rejected", "a CT slice", True),
        ("error", "the file is empty", True),
    ]


def test_a_bug_ends_the_run_and_the_workers(items, tiny_onnx):
    class Broken(Failing):
        error = KeyError("ours")

    before = threading.active_count()
    with Engine(find_model(tiny_onnx), EngineOptions(workers=2)) as engine:
        outcomes = engine.run([Task(items[0]), Task(Broken(b"", "x")), *map(Task, items)])
        assert next(outcomes).row.status == "ok"
        with pytest.raises(KeyError, match="ours"):
            list(outcomes)
    assert threading.active_count() == before


def test_both_thread_pools_of_onnxruntime_are_set(tiny_onnx, monkeypatch):
    import onnxruntime

    found = []
    really = onnxruntime.InferenceSession

    def record(*arguments, **options):
        chosen = options["sess_options"]
        found.append((chosen.intra_op_num_threads, chosen.inter_op_num_threads))
        return really(*arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    with Engine(find_model(tiny_onnx), EngineOptions(workers=3, threads=2)):
        assert found == [(2, 1)] * 3


def test_an_image_without_memory_for_it_is_an_error(items, tiny_onnx, monkeypatch):
    from xray_infer.images import decode

    def starve(data, **options):
        raise MemoryError

    monkeypatch.setattr(decode, "decode_with_station", starve)
    with Engine(find_model(tiny_onnx), EngineOptions(workers=1)) as engine:
        (outcome,) = engine.run([Task(items[0])])
    assert (outcome.row.status, outcome.row.reason) == ("error", SAYS["there-is-not-enough"])
