"""What a file should answer to the images that judge it: real ones and made-up extremes.

The answers are the Keras model's or, of a file whose head was fitted anew, those of the head in float64.
They are kept beside the files, `METHOD.reference.npz` or `FILE.reference.npz`, so that any file can be held
against them again without TensorFlow: probabilities float32 [N + M, C], cam float32 [N + M, h, w, C], labels
int64 [N] and the SHA-256 of each of the N real inputs; the M made-up inputs are made anew.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import write_atomically
from xray_infer.errors import DataError

BATCH_SIZE: Final = 4  # not 1, so that a free batch size is tried as well
SUFFIX: Final = ".reference.npz"


@dataclass(frozen=True, slots=True)
class Reference:
    """The right answers to `inputs`, uint8 [N + M, side, side, 1], of which the last M are made up.

    `labels` are int64 [N].
    """

    inputs: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    cam: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def real(self) -> slice:
        """The rows of real images."""
        return slice(0, len(self.labels))

    @property
    def made_up(self) -> slice:
        """The rows of made-up inputs."""
        return slice(len(self.labels), None)

    @property
    def inputs_digest(self) -> str:
        """SHA-256 of the inputs' raw bytes."""
        return hashlib.sha256(self.inputs.tobytes()).hexdigest()

    @property
    def answers_digest(self) -> str:
        """SHA-256 of the answers' raw bytes."""
        return _answers_digest(self.probabilities, self.cam)

    def save(self, path: Path) -> None:
        """Write all but the inputs, atomically; the same answers give the same bytes. Raises OutputError."""
        digests = np.array([input_digest(one) for one in self.inputs[self.real]])

        def write(temporary: Path) -> None:
            np.savez_compressed(
                temporary,
                probabilities=self.probabilities,
                cam=self.cam,
                labels=self.labels,
                input_sha256=digests,
            )

        write_atomically(path, write)


@dataclass(frozen=True, slots=True)
class StoredReference:
    """Answers that were read back; the inputs are to be found by their digests, in this order."""

    probabilities: NDArray[np.float32]
    cam: NDArray[np.float32]
    labels: NDArray[np.int64]
    input_digests: tuple[str, ...]

    @property
    def answers_digest(self) -> str:
        """SHA-256 of the answers' raw bytes, as in a certificate."""
        return _answers_digest(self.probabilities, self.cam)

    def thinned(self, most: int) -> StoredReference:
        """Return the answers to at most `most` of the real images, evenly picked, and to those made up."""
        real = np.linspace(0, len(self.labels), min(most, len(self.labels)), endpoint=False).astype(np.int64)
        rows = np.concatenate([real, np.arange(len(self.labels), len(self.probabilities))])
        return StoredReference(
            self.probabilities[rows],
            self.cam[rows],
            self.labels[real],
            tuple(self.input_digests[one] for one in real),
        )

    def with_inputs(self, found: Mapping[str, NDArray[np.uint8]]) -> Reference:
        """Return the reference with its inputs, by digest. Raises DataError when some are missing."""
        missing = [digest for digest in self.input_digests if digest not in found]
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(self.input_digests)} images that judged this file are not in "
                "the data; give the data that the model was exported with"
            )
        real = np.stack([found[digest] for digest in self.input_digests])
        inputs = np.concatenate([real, extreme_inputs(real.shape[1])])
        return Reference(inputs, self.probabilities, self.cam, self.labels)


def load_reference(path: Path) -> StoredReference:
    """Read what `Reference.save` wrote. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            answers: dict[str, Any] = {name: stored[name] for name in stored.files}
        return StoredReference(
            answers["probabilities"],
            answers["cam"],
            answers["labels"],
            tuple(str(digest) for digest in answers["input_sha256"]),
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "damaged, or not written by xray-export"
        raise DataError(f"{path}: cannot read the reference answers: {reason}") from error


def input_digest(image: NDArray[np.uint8]) -> str:
    """SHA-256 of one input's pixels, in hex."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def _answers_digest(probabilities: NDArray[np.float32], cam: NDArray[np.float32]) -> str:
    return hashlib.sha256(probabilities.tobytes() + cam.tobytes()).hexdigest()


def extreme_inputs(side: int) -> NDArray[np.uint8]:
    """Black, white, noise, two ramps, a checkerboard and one hot pixel: uint8 [7, side, side, 1]."""
    ramp = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8), (side, side))
    hot_pixel = np.zeros((side, side), np.uint8)
    hot_pixel[side // 2, side // 2] = 255
    planes = (
        np.zeros_like(ramp),
        np.full_like(ramp, 255),
        np.random.default_rng(0).integers(0, 256, (side, side), np.uint8),
        ramp,
        ramp.T,
        (np.indices((side, side)).sum(axis=0) % 2 * 255).astype(np.uint8),
        hot_pixel,
    )
    return np.stack(planes)[..., None]
