"""Decoding in a child process: the same answers, and no file that takes the run with it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from places import SUPPORT
from specimens import jpeg, png

from xray_infer.errors import ImageError, ReadError, RejectedError, XrayError
from xray_infer.images.decode import prepare
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.images.preprocess import STUDY

SAYS = approved("xray-infer")

OBEY = "hostile_decoders:obey"
HEAVY = ("xray_infer.cli", "xray_infer.model.runtimes", "onnxruntime", "tensorflow", "keras", "click")

linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts by Linux's /proc")


@pytest.fixture(scope="module")
def isolated() -> Iterator[IsolatedPrepare]:
    """A child that obeys, with more time than anything that ends by itself could need."""
    with IsolatedPrepare(STUDY, prepare=OBEY, seconds=60) as one:
        yield one


@pytest.fixture
def impatient() -> Iterator[IsolatedPrepare]:
    with IsolatedPrepare(STUDY, prepare=OBEY, seconds=1.5) as one:
        yield one


def answer_to(isolated: IsolatedPrepare, order: bytes) -> ImageError:
    with pytest.raises(ImageError) as raised:
        isolated(order)
    return raised.value


def assert_goes_on(isolated: IsolatedPrepare, xray: np.ndarray) -> None:
    expected = prepare(png(xray), STUDY, limits=DEFAULT_LIMITS)
    assert np.array_equal(isolated(png(xray)).input, expected.input)


@pytest.mark.parametrize("keep_pixels", [False, True])
def test_the_answers_are_those_of_prepare(xray, keep_pixels):
    rgba = np.dstack([xray.astype(np.uint16) * 200] * 4)
    files = [png(xray), jpeg(xray), png(rgba), png(xray[:1, :1]), png(np.tile(xray, (6, 7)))]
    with IsolatedPrepare(STUDY, keep_pixels=keep_pixels) as isolated:
        for data in files:
            ours, theirs = (
                isolated(data),
                prepare(data, STUDY, limits=DEFAULT_LIMITS, keep_pixels=keep_pixels),
            )
            assert ours.input.dtype == np.uint8
            assert np.array_equal(ours.input, theirs.input)
            assert (ours.pixels is None) == (theirs.pixels is None) == (not keep_pixels)
            if keep_pixels:
                assert np.array_equal(ours.pixels, theirs.pixels)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xe0garbage", b"BM" + bytes(60), bytes(10**7)])
def test_the_errors_are_those_of_prepare(isolated, data):
    with pytest.raises(ImageError) as expected:
        prepare(data, STUDY, limits=DEFAULT_LIMITS)
    found = answer_to(isolated, data)
    assert (type(found), str(found)) == (type(expected.value), str(expected.value))


def test_limits_hold_in_the_child(xray):
    with IsolatedPrepare(STUDY, limits=Limits(max_pixels=100)) as isolated:
        assert "the limit is 100" in str(answer_to(isolated, png(xray)))


@pytest.mark.parametrize(
    ("order", "kind", "text"),
    [
        (b"image error", ImageError, 'odd text: é, \\udce9, \n, "'),
        (b"read error", ReadError, "gone"),
        (b"rejected", RejectedError, "a photograph"),
        (b"odd", RejectedError, "a subclass"),
    ],
)
def test_an_image_error_keeps_its_class_and_text(isolated, order, kind, text):
    error = answer_to(isolated, order)
    assert type(error) is kind
    assert str(error) == text


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (b"crash", "the decoder crashed: SIGSEGV"),
        (b"overrun", "the decoder crashed: SIGSEGV"),
        (b"killed", "the decoder crashed: SIGKILL, perhaps for want of memory"),
        (b"exit", "the decoder crashed: it ended with status 3"),
    ],
)
def test_a_crash_is_an_error_and_the_next_file_is_read(isolated, xray, order, reason):
    assert str(answer_to(isolated, order)) == reason
    assert_goes_on(isolated, xray)


@pytest.mark.parametrize("order", [b"hang", b"hang with lock", b"half an answer"])
def test_a_hang_is_an_error_and_the_next_file_is_read(impatient, xray, order):
    assert str(answer_to(impatient, order)) == SAYS["decoding-took-longer-than"]
    assert_goes_on(impatient, xray)


@pytest.mark.parametrize("order", [b"nonsense", b"giant", b"unwanted pixels", b"long text"])
def test_a_child_that_was_taken_over_cannot_ask_for_memory(isolated, xray, order):
    assert str(answer_to(isolated, order)) == SAYS["the-decoder-crashed-its"]
    assert_goes_on(isolated, xray)


@pytest.mark.parametrize(
    "order",
    [
        b"area without a width",
        b"area turned round",
        b"area beside the picture",
        b"area below the picture",
        b"area of no number",
        b"area without end",
    ],
)
def test_an_area_that_is_no_part_of_a_picture_is_refused(isolated, xray, order):
    assert str(answer_to(isolated, order)) == SAYS["the-decoder-crashed-its"]
    assert_goes_on(isolated, xray)


@linux
def test_memory_is_bounded(xray):
    small = Limits(max_pixels=1_000_000, max_file_bytes=1 << 20)
    with IsolatedPrepare(STUDY, prepare=OBEY, limits=small) as isolated:
        first = answer_to(isolated, b"pid")
        for order in (b"terabyte", b"eat"):
            assert str(answer_to(isolated, order)) == SAYS["there-is-not-enough"]
        assert_goes_on(isolated, xray)
        assert str(answer_to(isolated, b"pid")) == str(first)  # the child has survived it


@linux
def test_the_bound_lets_the_largest_allowed_image_through():
    side = 2000
    rng = np.random.default_rng(0)
    dearest = png(rng.integers(0, 1 << 16, (side, side, 4), np.uint16))
    limits = Limits(max_pixels=side * side, max_file_bytes=len(dearest))
    with IsolatedPrepare(STUDY, limits=limits, keep_pixels=True) as isolated:
        assert isolated(dearest).pixels.shape == (side, side)


def test_what_a_decoder_prints_goes_nowhere(isolated, xray, capfd):
    assert str(answer_to(isolated, b"print")) == "printed"
    assert_goes_on(isolated, xray)
    assert capfd.readouterr() == ("", "")


def test_a_bug_stops_the_run_with_its_traceback(isolated, xray):
    with pytest.raises(RuntimeError, match=SAYS["s-in-the-process"]):
        isolated(b"bug")
    assert_goes_on(isolated, xray)


def test_a_child_that_cannot_start_is_no_fault_of_the_file(capfd):
    with (
        IsolatedPrepare(STUDY, prepare="no_such_module:prepare") as isolated,
        pytest.raises(XrayError, match=SAYS["does-not-start-it"]) as raised,
    ):
        isolated(b"")
    assert not isinstance(raised.value, ImageError)
    assert SAYS["no-module-named-no"] in capfd.readouterr().err


def test_the_child_loads_what_decodes_and_nothing_else(isolated):
    loaded = set(str(answer_to(isolated, b"modules")).split())
    assert "cv2" in loaded
    assert not loaded & set(HEAVY)


def test_no_child_before_the_first_file_and_none_after_close(xray):
    isolated = IsolatedPrepare(STUDY, prepare=OBEY)
    assert isolated._child is None
    pid = int(str(answer_to(isolated, b"pid")))
    assert not is_gone(pid)
    isolated.close()
    isolated.close()
    assert is_gone(pid)
    assert_goes_on(isolated, xray)
    isolated.close()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_is_for_the_parent(isolated, xray, heeds_interrupts):
    child = int(str(answer_to(isolated, b"pid")))
    assert os.getpgid(child) != os.getpgid(0)
    os.kill(child, signal.SIGINT)
    assert_goes_on(isolated, xray)
    assert int(str(answer_to(isolated, b"pid"))) == child
    interrupt = signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]
    threading.Timer(0.3, *interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        isolated(b"hang")
    assert is_gone(child)
    assert_goes_on(isolated, xray)  # and not the answer to the file before


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has waited for yet counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


PARENT = """
import sys
from xray_infer.errors import ImageError
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.images.preprocess import STUDY
isolated = IsolatedPrepare(STUDY, prepare="hostile_decoders:obey", seconds=float(sys.argv[2]))
try:
    isolated(b"pid")
except ImageError as error:
    print(error, flush=True)
isolated(sys.argv[1].encode()) if sys.argv[1] else sys.stdin.read()
"""


@linux
@pytest.mark.parametrize(
    ("busy_with", "seconds"), [("", 600), ("hang", 600), ("hang with lock", 1)], ids=["idle", "hang", "lock"]
)
def test_no_orphan_outlives_a_parent_that_is_killed(busy_with, seconds, tmp_path):
    """Also from a script without a `__main__` guard, which multiprocessing would run again in the child."""
    script = tmp_path / "unguarded.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, script, busy_with, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )
    child = int(parent.stdout.readline())
    time.sleep(0.2)  # let the child begin what keeps it busy
    parent.kill()
    parent.communicate()
    for _ in range(600):
        if is_gone(child):
            break
        time.sleep(0.05)
    assert is_gone(child)


@linux
def test_crashes_leak_neither_descriptors_nor_processes(isolated, xray):
    def held() -> tuple[int, int]:
        gc.collect()
        children = sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))
        return len(os.listdir("/proc/self/fd")), children

    assert_goes_on(isolated, xray)
    before = held()
    for _ in range(8):
        assert "SIGSEGV" in str(answer_to(isolated, b"crash"))
        assert_goes_on(isolated, xray)
    assert held() == before


def test_real_files_are_prepared_alike(shared_data):
    files = [
        one for one in sorted((shared_data / "originals").iterdir()) if one.suffix not in (".md", ".csv")
    ]
    with IsolatedPrepare(STUDY, keep_pixels=True) as isolated:
        for path in files[::8]:
            data = path.read_bytes()
            ours, theirs = isolated(data), prepare(data, STUDY, limits=DEFAULT_LIMITS, keep_pixels=True)
            assert np.array_equal(ours.input, theirs.input), path.name
            assert np.array_equal(ours.pixels, theirs.pixels), path.name
