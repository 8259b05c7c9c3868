"""LiteRT (ai-edge-litert), or tflite-runtime where only that exists."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import MissingExtraError, ModelError
from xray_infer.model.embedding import read_tflite_manifest
from xray_infer.model.runtime_table import RUNTIMES
from xray_infer.model.runtimes import ModelOutput


def _interpreter_module() -> Any:
    for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingExtraError("running a TFLite model", "tflite")


class LitertSession:
    """An interpreter with XNNPACK and a fixed batch of one: larger batches gain nothing in LiteRT, and
    the first call after a resize is dear. Without `xnnpack` the built-in kernels run, which are slower and
    round otherwise; the exporter checks both. See `xray_infer.model.runtimes.Session`."""

    def __init__(self, path: Path, *, threads: int, xnnpack: bool = True) -> None:
        self.manifest = read_tflite_manifest(path)
        module = _interpreter_module()
        self.runtime = runtime_name()  # the packages have no __version__
        kinds = module.OpResolverType
        kernels = kinds.AUTO if xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = module.Interpreter(
                model_path=str(path), num_threads=threads, experimental_op_resolver_type=kernels
            )
            self._runner = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{path}: LiteRT cannot load this file: {first_line}") from error

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """See `xray_infer.model.runtimes.Session.run`."""
        names = self.manifest.output_names
        rows = (self._runner(**{self.manifest.input_name: image[None]}) for image in images)
        return ModelOutput.join(names, [[row[name] for name in names] for row in rows])


def runtime_name(device: str = "cpu") -> str:
    """Return what runs a model, with its version."""
    return RUNTIMES["litert"].installed()


def open_sessions(path: Path, *, threads: int, count: int) -> list[LitertSession]:
    """Load a TFLite file made by xray-export `count` times."""
    return [LitertSession(path, threads=threads) for _ in range(count)]
