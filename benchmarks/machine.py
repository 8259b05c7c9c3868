"""What a measurement runs on: in one sentence, in full for its record, and the energy that it takes.

Energy is that of RAPL's counters. Linux's powercap interface: /sys/class/powercap/intel-rapl:N holds
energy_uj, a counter in microjoules of a processor package that starts again at max_energy_range_uj. It is
readable for root only on most systems, and missing in most virtual machines.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from xray_infer.benchmarks.results_schema import Machine
from xray_infer.host import default_workers, installed_versions, processor_name, processor_quota

PACKAGES: Final = ("onnxruntime", "openvino", "ai-edge-litert", "tensorflow-cpu", "keras", "numpy")
SPEED_FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")


def speed_flags() -> list[str]:
    """Return those instruction sets that decide int8 speed which this processor has."""
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return [flag for flag in SPEED_FLAGS if flag in words]


def describe_machine() -> str:
    """Return processors, the instruction sets that decide int8 speed, and package versions."""
    return describe(default_workers(), speed_flags(), installed_versions(PACKAGES))


def describe(processors: int, flags: Sequence[str], versions: Mapping[str, str]) -> str:
    """Return the same of any machine."""
    words = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{processors} processors ({' '.join(flags) or platform.machine()}), {words}."


POWERCAP: Final = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules of all processor packages since it was made; `problem` says why there are none, else ""."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._packages = sorted(folder.glob("intel-rapl:[0-9]*")) if folder.is_dir() else []
        # Sub-domains, such as intel-rapl:0:1, are counted in their package.
        self._packages = [one for one in self._packages if one.name.count(":") == 1]
        self.problem = "" if self._packages else "no RAPL counters"
        self._start: list[int] = []
        try:
            self._start = [self._read(one) for one in self._packages]
        except (OSError, ValueError) as error:
            self.problem = f"RAPL counters cannot be read: {getattr(error, 'strerror', None) or error}"

    @staticmethod
    def _read(package: Path, name: str = "energy_uj") -> int:
        return int((package / name).read_text())

    def joules(self) -> float | None:
        """Return the energy so far; None where it cannot be told."""
        if self.problem:
            return None
        total = 0
        for package, before in zip(self._packages, self._start, strict=True):
            now = self._read(package)
            total += (
                now - before if now >= before else now - before + self._read(package, "max_energy_range_uj")
            )
        return total / 1e6


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
