"""One run of a command with all the processes that it starts: time, and the memory of them together."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import DataError

PAUSE: Final = 0.1  # seconds between two looks at the memory: smaps_rollup costs a millisecond or two


@dataclass(frozen=True, slots=True)
class TreeRun:
    """When it began, by `time.monotonic()`, its seconds, and the peak of its proportional memory in MB."""

    started: float
    seconds: float
    peak_mb: float | None


def run_tree(command: Sequence[str], *, accepted: Sequence[int] = (0,)) -> TreeRun:
    """Run a command to its end. Raises DataError with the last thing that it said when it fails.

    Memory is Linux's Pss: what processes share, such as a loader's workers, is counted once.
    """
    with tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, tree_mb(process.pid))
            time.sleep(PAUSE)
        seconds = time.monotonic() - started
        errors.seek(0)
        lines = errors.read().strip().splitlines()
    if process.returncode not in accepted:
        raise DataError(f"ended with status {process.returncode}: {lines[-1] if lines else 'no message'}")
    return TreeRun(started, seconds, peak or None)


def tree_mb(pid: int) -> float:
    """Return the proportional memory of a process and all that it started, 0 where it cannot be told."""
    return sum(_pss_mb(one) for one in _tree(pid))


def _tree(pid: int) -> list[int]:
    found = [pid]
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for thread in threads:
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += _tree(int(child))
    return found


def _pss_mb(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has ended meanwhile
        return 0.0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
