"""A folder of hostile files through the real command: one row a file, and nothing else happens."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_bytes import Expected
from hostile_files import make_corpus, number_of, samples

from xray_infer.benchmarks.processes import high_water_mb
from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.images.preprocess import STUDY

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="made of Linux's files and limits"
)

# 370 MB were measured, of which the dearest images within the limits, of 100 million pixels, take 190. The
# giants beyond the limits would take 2,000 and more.
PEAK_MB = 1000
# Nothing takes so long that ends by itself.
HANG_SECONDS = 240
# So that a file that blows up costs the run under test its memory, and not the machine.
ADDRESS_SPACE = 8 << 30


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of the command over the corpus left."""

    status: int
    stdout: str
    stderr: str
    rows: list[dict[str, str]]
    peak_mb: float
    expected: dict[str, tuple[str, Expected]]


# Gives up root's right to pass through closed doors (the capabilities DAC_OVERRIDE and DAC_READ_SEARCH, which
# an ordinary user lacks and cannot give up), bounds the address space, and becomes the command.
LAUNCHER = f"""
import ctypes, os, resource, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
resource.setrlimit(resource.RLIMIT_AS, ({ADDRESS_SPACE}, {ADDRESS_SPACE}))
os.execv(sys.executable, [sys.executable, "-m", "xray_infer", *sys.argv[1:]])
"""


def run_command(*arguments: object, out: Path) -> tuple[int, str, str, float]:
    """Run the command; return exit status, both outputs and peak memory. A run that hangs is killed."""
    with (out.parent / "stderr").open("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *map(str, arguments), "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        timer = threading.Timer(HANG_SECONDS, process.kill)
        timer.start()
        peak_mb = 0.0
        while process.poll() is None:
            peak_mb = max(peak_mb, high_water_mb(process.pid))
            time.sleep(0.02)
        timer.cancel()
        errors.seek(0)
        return process.returncode, process.communicate()[0], errors.read(), peak_mb


def read_rows(out: Path) -> list[dict[str, str]]:
    """Return the results, or nothing where there are none."""
    if not out.exists():
        return []
    with out.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_onnx: Path) -> Iterator[Run]:
    root, out = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("out") / "r.csv"
    expected = make_corpus(root)
    status, stdout, stderr, peak_mb = run_command(root, "--model", tiny_onnx, "--workers", 2, out=out)
    yield Run(status, stdout, stderr, read_rows(out), peak_mb, expected)
    for closed in root.glob("* closed"):
        closed.chmod(0o755)  # or it could not be cleared away


def test_the_corpus_is_large_and_the_same_each_time(finished):
    assert len(finished.expected) >= 500
    assert list(samples(seed=1)) == list(samples(seed=1))
    assert Counter(status for _, status in finished.expected.values()).keys() == {"ok", "bad", "either"}


def test_every_file_gives_one_row(finished):
    assert finished.status == 1, finished.stderr[-2000:]
    found = Counter(number_of(row["path"]) for row in finished.rows)
    assert found == Counter(finished.expected.keys())


def test_what_is_bad_is_an_error_and_what_is_odd_is_read(finished):
    assert finished.rows
    wrong = []
    for row in finished.rows:
        what, expected = finished.expected[number_of(row["path"])]
        found = "ok" if row["status"] == "ok" else "bad"
        if expected not in ("either", found):
            wrong.append(f"{what}: {row['status']} {row['reason']}")
    assert not wrong


def test_a_reason_is_one_short_line(finished):
    assert finished.rows
    for row in finished.rows:
        assert (row["reason"] == "") == (row["status"] == "ok")
        assert row["reason"].isprintable(), row
        assert len(row["reason"]) < 300, row
        assert "Traceback" not in row["reason"]


def test_nothing_is_printed_but_the_summary(finished):
    assert finished.stdout == ""
    summary = re.compile(
        r"[\d,]+ (images in|classified|rejected, not judged|could not be read|other files were skipped)\b.*"
        r"|  [\d,]+ x .*|  and \d+ other reasons.*|results: .*|Research use only.*"
    )
    assert [line for line in finished.stderr.splitlines() if not summary.fullmatch(line)] == []


def test_memory_is_bounded(finished):
    assert 0 < finished.peak_mb < PEAK_MB


def test_child_processes_give_the_same_outcomes(finished):
    """The same reasons, from two children that last as long as the corpus does."""
    todo = list(samples())

    def outcomes(part: int) -> dict[str, tuple[str, str]]:
        found = {}
        with IsolatedPrepare(STUDY, seconds=HANG_SECONDS) as isolated:
            for number in range(part, len(todo), 2):
                outcome = ("ok", "")
                try:
                    isolated(todo[number].data)
                except ImageError as error:
                    outcome = ("rejected" if isinstance(error, RejectedError) else "error", str(error))
                found[f"h{number:03}"] = outcome
        return found

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(outcomes, range(2))
    isolated = first | second
    assert len(isolated) == len(todo)
    rows = {number_of(row["path"]): (row["status"], row["reason"]) for row in finished.rows}
    assert {number: rows[number] for number in isolated} == isolated


def test_folders_deeper_than_the_interpreter_recurses(folder, tiny_onnx, tmp_path):
    """As a folder too deep to be listed has one row, one that is only deep has its images'."""
    deep = folder.joinpath(*["d"] * 1200)
    subprocess.run(["mkdir", "-p", deep], check=True)
    try:
        (deep / "x.png").write_bytes((folder / "film0.png").read_bytes())
        (tmp_path / "out").mkdir()
        out = tmp_path / "out" / "r.csv"
        status, _, stderr, _ = run_command(folder, "--model", tiny_onnx, out=out)
        assert status == 0, stderr[-300:]
        assert len(read_rows(out)) == 6 + 1
    finally:
        subprocess.run(["rm", "-rf", folder / "d"], check=True)  # shutil.rmtree, too, recurses too deep
