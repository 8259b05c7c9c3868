"""Inference runtimes behind one protocol; a new runtime is one new file and one line in `RUNTIMES`.

The modules that import a runtime library are loaded only when a model is opened.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError
from xray_infer.manifest import ModelManifest


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What one forward pass gives.

    `probabilities`: float32 [N, 3], rows sum to 1. `cam`: float32 [N, 7, 7, 3], each class's weight vector
    applied to the last feature map; the mean over 7 x 7 plus the head's bias is the logit.
    """

    probabilities: NDArray[np.float32]
    cam: NDArray[np.float32]


class Session(Protocol):
    """One loaded model. Not to be shared between threads: open one session for each worker."""

    manifest: ModelManifest

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """Classify `uint8 [N, 224, 224, 1]`, any N >= 1."""
        ...


RUNTIMES: Final = {
    "onnx": "xray_infer.runtimes.ort",
    "tflite": "xray_infer.runtimes.litert",
}
SUFFIXES: Final = {".onnx": "onnx", ".tflite": "tflite"}


@dataclass(frozen=True, slots=True)
class Model:
    """A model file and the runtime that reads it; `digest` is the file's SHA-256 in hex."""

    path: Path
    format: str
    digest: str

    def open(self, *, threads: int = 1) -> Session:
        """Load the file with `threads` threads inside one forward pass.

        Raises ModelError for a file that cannot be loaded or whose manifest is not of this contract, and
        MissingExtraError when the runtime is not installed.
        """
        module = importlib.import_module(RUNTIMES[self.format])
        session: Session = module.open_session(self.path, threads=threads)
        return session


def find_model(path: Path) -> Model:
    """Describe the model file at `path`, its runtime chosen by suffix. Raises ModelError."""
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{path}: not a model file; expected one of {', '.join(SUFFIXES)}")
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file: {error.strerror}") from error
    return Model(path, SUFFIXES[path.suffix.lower()], digest)
