"""What a measurement ran on, for its record."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from xray_infer.benchmarks.machine import PACKAGES, speed_flags
from xray_infer.benchmarks.records.schema import Machine
from xray_infer.benchmarks.speed.energy import EnergyMeter
from xray_infer.model.processors import default_workers, processor_name, processor_quota
from xray_infer.versions import installed_versions

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def machine_record() -> Machine:
    """Describe this machine as it is now."""
    problem = EnergyMeter().problem
    return Machine(
        processor=processor_name(),
        flags=speed_flags(),
        processors=default_workers(),
        affinity=sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        quota=processor_quota(),
        memory_mb=_memory_mb(),
        system=f"{platform.system()} {platform.release()}",
        governor=_text(GOVERNOR),
        energy=f"unavailable: {problem}" if problem else "RAPL",
        load_before=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions=installed_versions(PACKAGES),
    )


def _memory_mb() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    except (ValueError, OSError, AttributeError):  # no such name; not a Unix
        return 0.0


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
