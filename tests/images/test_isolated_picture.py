"""Pictures from a child process: the same answers, of any side, and an end from any thread."""

from __future__ import annotations

import gc
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from dicom_files import dicom
from specimens import jpeg, png

from xray_infer.errors import ImageError, RejectedError, XrayError
from xray_infer.images.decode import read_picture
from xray_infer.images.isolation import IsolatedPicture, IsolatedPrepare
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.images.preprocess import STUDY

SAYS = approved("xray-infer")

OBEY = "hostile_decoders:obey_picture"
NONSENSE = "the decoder crashed: its process answered nonsense"
SOON = 20.0  # seconds in which what is to happen at once does, on a busy machine

linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts by Linux's /proc")


@pytest.fixture(scope="module")
def isolated() -> Iterator[IsolatedPicture]:
    """A child that obeys, with more time than anything that ends by itself could need."""
    with IsolatedPicture(function=OBEY, seconds=60) as one:
        yield one


def answer_to(isolated: IsolatedPicture | IsolatedPrepare, order: bytes) -> ImageError:
    with pytest.raises(ImageError) as raised:
        isolated(order)
    return raised.value


def assert_same(isolated: IsolatedPicture, data: bytes, side: int = 0) -> None:
    ours, theirs = isolated(data, side=side), read_picture(data, side=side)
    assert ours.values.dtype == theirs.values.dtype
    assert np.array_equal(ours.values, theirs.values)
    assert (ours.black, ours.white) == (theirs.black, theirs.white)


def of_every_kind(xray: np.ndarray) -> list[bytes]:
    deep = xray.astype(np.uint16) * 200
    window = {"WindowCenter": 9000, "WindowWidth": 3000, "PhotometricInterpretation": "MONOCHROME1"}
    large = np.tile(xray, (6, 7))
    return [
        jpeg(xray),
        png(deep),
        dicom(deep, **window),
        png(xray[:1, :1]),
        jpeg(large),
        png(np.dstack([xray] * 4)),
    ]


def test_the_answers_are_those_of_read_picture_with_one_child_for_every_side(isolated, xray):
    first = str(answer_to(isolated, b"pid"))
    for side in (0, 64, 300, 0):
        for data in of_every_kind(xray):
            assert_same(isolated, data, side)
    assert isolated(jpeg(np.tile(xray, (6, 7))), side=64).values.shape == (225, 228)
    assert str(answer_to(isolated, b"pid")) == first


def test_by_default_it_is_read_picture_at_full_size(xray):
    with IsolatedPicture() as isolated:
        data = jpeg(np.tile(xray, (6, 7)))
        assert np.array_equal(isolated(data).values, read_picture(data).values)
        assert_same(isolated, png(xray.astype(np.uint16) * 200))


@pytest.mark.parametrize(
    "make", [lambda: b"", lambda: b"hello", lambda: dicom(np.eye(9, dtype=np.uint16), Modality="CT")]
)
def test_the_errors_are_those_of_read_picture(isolated, make):
    data = make()
    with pytest.raises(ImageError) as expected:
        read_picture(data)
    found = answer_to(isolated, data)
    assert (type(found), str(found)) == (type(expected.value), str(expected.value))


def test_a_rejection_keeps_its_class(isolated):
    assert type(answer_to(isolated, b"rejected")) is RejectedError


def test_limits_hold_in_the_child(xray):
    with IsolatedPicture(limits=Limits(max_pixels=100)) as isolated:
        assert "the limit is 100" in str(answer_to(isolated, png(xray)))


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("order", [b"crash", b"killed", b"exit"])
def test_a_crash_is_an_error_and_the_next_file_is_read(isolated, xray, order):
    assert str(answer_to(isolated, order)).startswith("the decoder crashed: ")
    assert_same(isolated, png(xray), 64)


@pytest.mark.parametrize("order", [b"hang", b"hang with lock", b"half a picture"])
def test_a_hang_is_an_error_and_the_next_file_is_read(xray, order):
    with IsolatedPicture(function=OBEY, seconds=1.5) as impatient:
        assert str(answer_to(impatient, order)) == SAYS["decoding-took-longer-than"]
        assert_same(impatient, png(xray))


@pytest.mark.parametrize(
    "order",
    [
        b"nonsense",
        b"giant",
        b"unwanted pixels",
        b"long text",
        b"giant picture",
        b"picture over the limit",
        b"flat picture over the limit",
        b"empty picture",
        b"picture without a scale",
        b"picture without a unit",
        b"picture turned round",
        b"picture of no number",
        b"picture without end",
    ],
)
def test_a_child_that_was_taken_over_cannot_ask_for_memory(isolated, xray, order):
    assert_same(isolated, png(xray))
    tracemalloc.start()
    try:
        assert str(answer_to(isolated, order)) == NONSENSE
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert_same(isolated, png(xray))


def test_a_picture_is_no_answer_to_who_wants_it_prepared():
    with IsolatedPrepare(STUDY, prepare="hostile_decoders:obey", keep_pixels=True) as isolated:
        assert str(answer_to(isolated, b"half a picture")) == NONSENSE


@linux
def test_the_bound_lets_the_largest_allowed_pictures_through_one_after_another():
    side = 3000
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 1 << 16, (side, side), np.uint16)
    files = [png(deep), dicom(deep), png(np.dstack([deep] * 4))]
    limits = Limits(max_pixels=side * side, max_file_bytes=max(map(len, files)))
    with IsolatedPicture(limits=limits) as isolated:
        for data in (*files, *files):
            assert isolated(data).values.shape == (side, side)


def test_a_bug_stops_with_its_traceback(isolated, xray):
    with pytest.raises(RuntimeError, match=SAYS["s-in-the-process"]):
        isolated(b"bug")
    assert_same(isolated, png(xray))


class Waiting(threading.Thread):
    """Asks for a picture that does not come, in a thread of its own."""

    def __init__(self, isolated: IsolatedPicture, order: bytes) -> None:
        super().__init__(daemon=True)
        self.isolated, self.order = isolated, order
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.isolated(self.order)
        except BaseException as error:
            self.error = error

    def assert_ends(self) -> None:
        self.join(SOON)
        assert not self.is_alive()
        assert type(self.error) is ImageError
        assert str(self.error) == "decoding was stopped"


@pytest.mark.parametrize("order", [b"hang", b"hang with lock", b"half a picture"])
@pytest.mark.parametrize("end", [IsolatedPicture.close, IsolatedPicture.stop])
def test_another_thread_may_end_a_call_that_waits(order, end: Callable[[IsolatedPicture], None], xray):
    isolated = IsolatedPicture(function=OBEY, seconds=600)
    pid = int(str(answer_to(isolated, b"pid")))
    waiting = Waiting(isolated, order)
    time.sleep(0.3)  # let the child begin what keeps it busy
    assert waiting.is_alive()
    started = time.monotonic()
    end(isolated)
    assert time.monotonic() - started < SOON
    waiting.assert_ends()
    assert isolated._child is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    if end is IsolatedPicture.close:
        assert_same(isolated, png(xray))
    else:
        assert str(answer_to(isolated, png(xray))) == "decoding was stopped"
        assert isolated._child is None
    isolated.close()


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01, 0.05, 0.2])
def test_it_may_be_ended_while_its_child_starts(delay, xray):
    isolated = IsolatedPicture(function=OBEY, seconds=600)
    waiting = Waiting(isolated, b"hang")
    time.sleep(delay)
    for _ in range(100):  # the call may begin after the first
        isolated.close()
        waiting.join(0.2)
        if not waiting.is_alive():
            break
    waiting.assert_ends()
    assert_same(isolated, png(xray))
    isolated.close()


def test_stopped_before_its_first_call_it_starts_no_child(xray):
    isolated = IsolatedPicture()
    isolated.stop()
    assert str(answer_to(isolated, png(xray))) == "decoding was stopped"
    assert isolated._child is None


@linux
def test_ending_calls_leaks_neither_descriptors_nor_processes(xray):
    def held() -> tuple[int, int]:
        gc.collect()
        children = sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))
        return len(os.listdir("/proc/self/fd")), children

    before = held()
    isolated = IsolatedPicture(function=OBEY, seconds=600)
    rng = np.random.default_rng(0)
    data = png(xray)
    ended = 0
    for _ in range(12):
        asking = threading.Event()

        def ask(asking: threading.Event = asking) -> None:
            nonlocal ended
            try:
                while not asking.is_set():
                    assert isolated(data).values.shape == xray.shape
            except ImageError as error:
                ended += str(error) == "decoding was stopped"

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        time.sleep(float(rng.random()) * 0.6)
        isolated.close()
        asking.set()
        thread.join(SOON)
        assert not thread.is_alive()
    assert ended > 0
    isolated.close()
    assert held() == before


def test_a_child_that_cannot_start_is_no_fault_of_the_file(capfd):
    with (
        IsolatedPicture(function="no_such_module:read") as isolated,
        pytest.raises(XrayError, match=SAYS["does-not-start-it"]) as raised,
    ):
        isolated(b"")
    assert not isinstance(raised.value, ImageError)
    assert isolated._child is None
    assert SAYS["no-module-named-no"] in capfd.readouterr().err


def test_real_files_are_read_alike(shared_data):
    files = [
        one for one in sorted((shared_data / "originals").iterdir()) if one.suffix not in (".md", ".csv")
    ]
    with IsolatedPicture(limits=DEFAULT_LIMITS) as isolated:
        for path in files[::8]:
            assert_same(isolated, path.read_bytes())
