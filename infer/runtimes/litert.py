"""LiteRT (ai-edge-litert), or tflite-runtime where only that exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import MissingExtraError, ModelError
from xray_infer.manifest import read_tflite_manifest
from xray_infer.runtimes import RUNTIMES, ModelOutput


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise MissingExtraError("running a TFLite model", "tflite") from None
    return Interpreter


class LitertSession:
    """An interpreter with XNNPACK and a fixed batch of one: larger batches gain nothing in LiteRT, and
    the first call after a resize is dear. See `xray_infer.runtimes.Session`."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self.manifest = read_tflite_manifest(path)
        interpreter_class = _interpreter_class()
        self.runtime = RUNTIMES["litert"].installed()  # the packages have no __version__
        try:
            self._interpreter = interpreter_class(model_path=str(path), num_threads=threads)
            self._runner = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{path}: LiteRT cannot load this file: {first_line}") from error

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """See `xray_infer.runtimes.Session.run`."""
        rows = [self._runner(**{self.manifest.input_name: image[None]}) for image in images]
        probabilities, cam = (
            np.concatenate([row[name] for row in rows]) for name in self.manifest.output_names
        )
        return ModelOutput(probabilities, cam)


def open_sessions(path: Path, *, threads: int, count: int) -> list[LitertSession]:
    """Load a TFLite file made by xray-export `count` times."""
    return [LitertSession(path, threads=threads) for _ in range(count)]
