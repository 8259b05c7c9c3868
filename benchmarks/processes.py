"""Other programs as processes: wall time and peak memory as the operating system counts them."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xray_infer.errors import DataError


@dataclass(frozen=True, slots=True)
class FinishedProcess:
    """When it began, by `time.monotonic()`, its seconds to the end, and its peak memory in MB.

    0 MB stands for a system that does not tell.
    """

    started: float
    seconds: float
    peak_mb: float


def high_water_mb(pid: int) -> float:
    """Return a process's peak resident memory so far, 0 where the system does not tell.

    Linux's VmHWM: getrusage's ru_maxrss would also count this process's own memory, which a child has for a
    moment before it becomes the command.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def tree_mb(pid: int) -> float:
    """Return the proportional memory of a process and all that it started, 0 where it cannot be told.

    Linux's Pss: what processes share, such as a loader's workers, is counted once.
    """
    return sum(_pss_mb(one) for one in _tree(pid))


def run_command(
    command: Sequence[str],
    *,
    accepted: Sequence[int] = (0,),
    memory_mb: Callable[[int], float] = high_water_mb,
    pause_s: float = 0.02,
    name: str | None = None,
) -> FinishedProcess:
    """Run one command to its end. Raises DataError when it ends with a status that is not accepted.

    `memory_mb` of its process id is looked at every `pause_s`. An error begins with `name`, by default the
    command.
    """
    with tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peak_mb = 0.0
        while process.poll() is None:
            peak_mb = max(peak_mb, memory_mb(process.pid))
            time.sleep(pause_s)
        seconds = time.monotonic() - started
        errors.seek(0)
        lines = errors.read().strip().splitlines()
    if process.returncode not in accepted:
        message = lines[-1] if lines else "no message"
        called = " ".join(command) if name is None else name
        raise DataError(f"{called} ended with status {process.returncode}: {message}".lstrip())
    return FinishedProcess(started, seconds, peak_mb)


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
