"""What a measurement ran on, in one sentence."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from xray_infer.model.processors import default_workers
from xray_infer.versions import installed_versions

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
