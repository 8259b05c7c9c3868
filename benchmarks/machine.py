"""What a measurement ran on, in one sentence."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

from xray_infer.processors import default_workers
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
    flags = " ".join(speed_flags()) or platform.machine()
    versions = ", ".join(f"{name} {number}" for name, number in installed_versions(PACKAGES).items())
    return f"{default_workers()} processors ({flags}), {versions}."
