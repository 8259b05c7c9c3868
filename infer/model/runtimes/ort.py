"""ONNX Runtime, on the CPU or an NVIDIA GPU."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError, XrayError
from xray_infer.model.embedding import read_onnx_manifest
from xray_infer.model.runtime_table import CPU, CUDA
from xray_infer.model.runtimes import ModelOutput

PROVIDERS: Final = {CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider"}


def _import_onnxruntime() -> Any:
    """Import onnxruntime, or say in one line what is wrong with it.

    onnxruntime and onnxruntime-gpu share one folder: installed together one wins silently, and
    uninstalling either breaks both.
    """
    installed = {
        name
        for name in ("onnxruntime", "onnxruntime-gpu")
        if any(True for _ in importlib.metadata.distributions(name=name))
    }
    mend = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install the one you want"
    if len(installed) == 2:
        raise XrayError(f"onnxruntime and onnxruntime-gpu are both installed and break each other: {mend}")
    try:
        import onnxruntime

        onnxruntime.InferenceSession  # noqa: B018  absent from the empty folder that an uninstall leaves
    except (ImportError, AttributeError) as error:
        raise XrayError(f"onnxruntime is missing or broken ({error}): {mend}") from error
    return onnxruntime


def _import_for(device: str) -> Any:
    """Import onnxruntime and see that it can use the device. Raises XrayError."""
    onnxruntime = _import_onnxruntime()
    if device != CPU:
        offered = onnxruntime.get_available_providers()
        if PROVIDERS[device] not in offered:
            raise XrayError(
                f"--device {device}: this onnxruntime has no {PROVIDERS[device]}, only {', '.join(offered)}: "
                "pip uninstall -y onnxruntime, then pip install onnxruntime-gpu"
            )
        # From 1.21 on: finds the CUDA and cuDNN that came by pip.
        getattr(onnxruntime, "preload_dlls", lambda: None)()
    return onnxruntime


class OrtSession:
    """A session of ONNX Runtime; see `xray_infer.model.runtimes.Session`."""

    def __init__(self, path: Path, *, threads: int, device: str = CPU) -> None:
        self.manifest = read_onnx_manifest(path)
        onnxruntime = _import_for(device)
        self.runtime = _name(onnxruntime, device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            # Only the provider that is wanted: an absent one prints errors to the terminal.
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=[PROVIDERS[device]]
            )
        except Exception as error:  # onnxruntime's exceptions have no common base but Exception
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{path}: ONNX Runtime cannot load this file: {first_line}") from error
        # Where CUDA or cuDNN cannot be loaded, it goes on with the CPU of its own accord.
        if self._session.get_providers()[0] != PROVIDERS[device]:
            raise XrayError(
                f"--device {device}: {PROVIDERS[device]} does not start, {self._session.get_providers()[0]} "
                "would have run instead; see that nvidia-smi shows a GPU, and that this onnxruntime-gpu "
                "finds the CUDA and cuDNN that it needs"
            )
        # A fixed batch size: int8-dynamic scales a batch's activations together.
        self._one_by_one = self._session.get_inputs()[0].shape[0] == 1

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """See `xray_infer.model.runtimes.Session.run`."""
        names = self.manifest.output_names
        if not self._one_by_one:
            answers = self._session.run(list(names), {self.manifest.input_name: images})
            return ModelOutput(**dict(zip(names, answers, strict=True)))
        batches = np.split(images, len(images))
        parts = [self._session.run(list(names), {self.manifest.input_name: batch}) for batch in batches]
        return ModelOutput.join(names, parts)


def runtime_name(device: str = CPU) -> str:
    """Return what runs a model, with its version, and where that is not the CPU. Raises XrayError."""
    return _name(_import_onnxruntime(), device)


def _name(onnxruntime: Any, device: str) -> str:
    name = f"onnxruntime {onnxruntime.__version__}"
    return name if device == CPU else f"{name}, {device.upper()}"


def open_sessions(path: Path, *, threads: int, count: int, device: str = CPU) -> list[OrtSession]:
    """Load an ONNX file made by xray-export `count` times."""
    return [OrtSession(path, threads=threads, device=device) for _ in range(count)]
