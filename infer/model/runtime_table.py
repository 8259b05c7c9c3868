"""The tables of runtimes, devices and formats by name, which the command lines read before anything heavy.

A new runtime is a line in `RUNTIMES` and a module in `runtimes`. Nothing here loads numpy or a runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CPU: Final = "cpu"
CUDA: Final = "cuda"
DEVICES: Final = (CPU, CUDA)
AUTO: Final = "auto"  # a name for the fastest runtime that is installed
SUFFIXES: Final = {".onnx": "onnx", ".tflite": "tflite"}
MODEL_FORMATS: Final = tuple(SUFFIXES.values())


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way of running a model file.

    `module` has `open_sessions(path, threads=..., count=...)`, with `device=...` where it has more `devices`
    than the CPU, and `runtime_name(device)`, a session's `runtime` without one; `format` is the one that it
    reads; `packages` are the distributions that it can use, the first preferred.
    """

    name: str
    module: str
    format: str
    packages: tuple[str, ...]
    devices: tuple[str, ...] = (CPU,)

    def installed(self) -> str:
        """Return the package that would be used and its version, empty when there is none; loads nothing."""
        from importlib.metadata import PackageNotFoundError, version

        for package in self.packages:
            try:
                return f"{package} {version(package)}"
            except PackageNotFoundError:
                continue
        return ""


# The first that reads a format is the format's default.
RUNTIMES: Final[Mapping[str, Runtime]] = {
    one.name: one
    for one in (
        Runtime(
            "onnxruntime",
            "xray_infer.model.runtimes.ort",
            "onnx",
            ("onnxruntime", "onnxruntime-gpu"),
            DEVICES,
        ),
        Runtime("litert", "xray_infer.model.runtimes.litert", "tflite", ("ai-edge-litert", "tflite-runtime")),
        Runtime("openvino", "xray_infer.model.runtimes.ov", "onnx", ("openvino",)),
    )
}
