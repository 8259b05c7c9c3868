"""This machine, as far as answers, speed and records depend on it: its processors and installed packages.

How many processors this process may use, its affinity mask and the container's quota say. A container with a
quota of two processors on a machine of 64 shows 64 to `os.cpu_count`; 64 workers would then be throttled most
of the time. References: sched_setaffinity(2); the kernel's cgroup-v2.rst (cpu.max) and sched-bwc.rst
(cpu.cfs_quota_us).
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")


def default_workers() -> int:
    """Return the number of processors that this process may use, at least 1."""
    quota = processor_quota()
    return allowed_processors() if quota is None else max(1, min(allowed_processors(), math.floor(quota)))


def allowed_processors() -> int:
    """Return the number of processors in the affinity mask; all of them where there is none."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_quota() -> float | None:
    """Return the smallest quota of this process's control groups, in processors; None without one."""
    quotas = [quota for folder in _own_groups() if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def _own_groups() -> Iterator[Path]:
    """Yield the folders of this process's groups for the cpu controller, each with those above it."""
    try:
        lines = OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / "cpu" if controllers else CGROUPS
        # Inside a container the path is often that of the host, and only the root exists.
        group = root / path.strip("/")
        yield root
        while group != root and root in group.parents:
            yield group
            group = group.parent


def _quota(folder: Path) -> float | None:
    """Return one group's quota in processors."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no such file; "max"
        return None


def processor_name() -> str:
    """Return the processor's name as the system tells it, or its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    # x86 has a model name; ARM has a board's name (Model) or the numbers of its maker and part.
    arm = " ".join(named[key] for key in ("Model", "CPU implementer", "CPU part") if key in named)
    return named.get("model name") or arm or platform.processor() or platform.machine()


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return Python's version and those of the packages that are installed, by name."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
