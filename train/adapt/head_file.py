"""A model file whose head can be replaced: the same for both formats.

The head is one linear layer on the pooled features, which exists once: its map is the CAM, and the map's mean
with the bias is the logits (see `export.forward`). So another head is another kernel, bias and temperature.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError
from xray_infer.model.manifest import ModelManifest
from xray_infer.train.adapt.regression import Linear

# One input, uint8 [side, side, 1], to the maps that the head reads, float32 [h, w, K].
Maps = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# By format: the module and the class of its HeadFile. Each loads the libraries of its format.
HEADS: Final = {
    "onnx": ("xray_infer.train.adapt.head_onnx", "OnnxHead"),
    "tflite": ("xray_infer.train.adapt.head_tflite", "TfliteHead"),
}


class HeadFile(Protocol):
    """One exported file."""

    def open_maps(self) -> Maps:
        """Open a session, for one thread, that computes what the head reads, as the file does."""
        ...

    def with_head(self, head: Linear, temperature: float) -> bytes:
        """Return the file with another head, of any number of classes, and without a manifest."""
        ...

    def embed(self, packed: bytes, manifest: ModelManifest) -> bytes:
        """Return such a file with a manifest."""
        ...


def open_head(packed: bytes, model_format: str, *, path: Path | str = "the model") -> HeadFile:
    """Find a file's head; `path` names the file in errors.

    Raises ModelError when its structure is not that of an exported classifier.
    """
    try:
        return head_kind(model_format)(packed)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def head_kind(model_format: str) -> Callable[[bytes], HeadFile]:
    """Return what opens files of a format. Raises ImportError without the libraries of that format."""
    module, name = HEADS[model_format]
    kind: Callable[[bytes], HeadFile] = getattr(importlib.import_module(module), name)
    return kind


def no_head(problem: str) -> ModelError:
    """Return the error of a graph whose head is not found."""
    return ModelError(
        f"the head of this file cannot be replaced: {problem}; take one of recipe fp32 or int8-static"
    )
