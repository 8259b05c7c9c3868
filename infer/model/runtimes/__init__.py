"""Inference runtimes behind one protocol; a new one is a file here and a line in `runtime_table.RUNTIMES`.

The modules that import a runtime library are loaded only when a model is opened.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError
from xray_infer.model.embedding import READERS
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtime_table import CPU, RUNTIMES, SUFFIXES, Runtime


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What one forward pass gives.

    `probabilities`: float32 [N, C], rows sum to 1. `cam`: float32 [N, h, h, C], h = side / 32, each class's
    weight vector applied to the last feature map; its mean plus the head's bias is the logit. `ood_score`:
    float32 [N], how far the image is from the training images (see `ModelManifest.ood_threshold`).
    `features`: float32 [N, K], the mean of the last feature map, which the head reads. The last two are None
    where the file does not compute them. The fields are named as the outputs are.
    """

    probabilities: NDArray[np.float32]
    cam: NDArray[np.float32]
    ood_score: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None

    @classmethod
    def join(cls, names: Sequence[str], parts: Sequence[Sequence[NDArray[np.float32]]]) -> ModelOutput:
        """Join what a runtime gave for one batch after the other: of each, the outputs of these names."""
        joined = map(np.concatenate, zip(*parts, strict=True))
        return cls(**dict(zip(names, joined, strict=True)))

    def first(self, count: int) -> ModelOutput:
        """Return the answers of the first `count` images."""
        score = None if self.ood_score is None else self.ood_score[:count]
        features = None if self.features is None else self.features[:count]
        return ModelOutput(self.probabilities[:count], self.cam[:count], score, features)


class Session(Protocol):
    """One loaded model. Not to be shared between threads: open one session for each worker.

    `runtime` names the package that runs it, with its version, for example "onnxruntime 1.32.0".
    """

    manifest: ModelManifest
    runtime: str

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """Classify `uint8 [N, side, side, 1]`, any N >= 1."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """A model file; `digest` is its SHA-256 in hex."""

    path: Path
    format: str
    digest: str

    def runtimes(self) -> tuple[Runtime, ...]:
        """Return the runtimes that read the file, installed or not, the default first."""
        return tuple(runtime for runtime in RUNTIMES.values() if runtime.format == self.format)

    def manifest(self) -> ModelManifest:
        """Read the manifest in the file; no runtime is loaded. Raises ModelError."""
        return READERS[self.format](self.path)

    def open(self, *, threads: int = 1, runtime: str | None = None) -> Session:
        """Load the file with `threads` threads inside one forward pass.

        `runtime` is a name in `RUNTIMES`, by default the first that reads the file. Raises ModelError for a
        file that cannot be loaded, that this runtime does not read or whose manifest is not of this contract,
        MissingExtraError when the runtime is not installed, and XrayError when it is broken.
        """
        return self.open_many(1, threads=threads, runtime=runtime)[0]

    def open_many(
        self, count: int, *, threads: int = 1, runtime: str | None = None, device: str = CPU
    ) -> Sequence[Session]:
        """Load the file for `count` threads that work side by side; they share what the runtime can share.

        Raises what `open` raises, and XrayError where the model would not run on `device`: nothing falls
        back to another.
        """
        chosen = self._choose(runtime, device)
        where = {"device": device} if device != CPU else {}
        module = importlib.import_module(chosen.module)
        sessions: Sequence[Session] = module.open_sessions(self.path, threads=threads, count=count, **where)
        return sessions

    def runtime_name(self, runtime: str | None, device: str) -> str:
        """Return what `Session.runtime` would be, without loading the file. Raises what `open_many` does."""
        name: str = importlib.import_module(self._choose(runtime, device).module).runtime_name(device)
        return name

    def _choose(self, runtime: str | None, device: str) -> Runtime:
        able = {one.name: one for one in self.runtimes()}
        chosen = runtime or next(iter(able))
        if chosen not in able:
            raise ModelError(f"{self.path}: {chosen} does not read this file; use {' or '.join(able)}")
        if device not in able[chosen].devices:
            others = ", ".join(one.name for one in RUNTIMES.values() if device in one.devices)
            raise ModelError(f"--device {device}: {chosen} runs on the CPU only; use --runtime {others}")
        return able[chosen]


def find_model(path: Path) -> Model:
    """Describe the model file at `path`, its format told by the suffix. Raises ModelError."""
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{path}: not a model file; expected one of {', '.join(SUFFIXES)}")
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file: {error.strerror}") from error
    return Model(path, SUFFIXES[path.suffix.lower()], digest)
