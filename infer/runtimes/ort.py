"""ONNX Runtime, on the CPU."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError, XrayError
from xray_infer.manifest import read_onnx_manifest
from xray_infer.runtimes import ModelOutput


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


class OrtSession:
    """A session of ONNX Runtime; see `xray_infer.runtimes.Session`."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self.manifest = read_onnx_manifest(path)
        onnxruntime = _import_onnxruntime()
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            # Only the provider that is wanted: an absent one prints errors to the terminal.
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions have no common base but Exception
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{path}: ONNX Runtime cannot load this file: {first_line}") from error
        # A fixed batch size: int8-dynamic scales a batch's activations together.
        self._one_by_one = self._session.get_inputs()[0].shape[0] == 1

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """See `xray_infer.runtimes.Session.run`."""
        batches = np.split(images, len(images)) if self._one_by_one else [images]
        names = self.manifest.output_names
        parts = [self._session.run(list(names), {self.manifest.input_name: batch}) for batch in batches]
        return ModelOutput.join(names, parts)


def open_sessions(path: Path, *, threads: int, count: int) -> list[OrtSession]:
    """Load an ONNX file made by xray-export `count` times."""
    return [OrtSession(path, threads=threads) for _ in range(count)]
