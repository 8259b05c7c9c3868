"""Energy from RAPL's counters, where the system lets them be read.

Linux's powercap interface: /sys/class/powercap/intel-rapl:N holds energy_uj, a counter in microjoules of a
processor package that starts again at max_energy_range_uj. It is readable for root only on most systems, and
missing in most virtual machines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

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
