"""A model without a runtime, whose answer tells which picture it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from specimens import example_manifest

from xray_infer.classes import CLASS_NAMES
from xray_infer.images.limits import Limits
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtime_table import CPU
from xray_infer.model.runtimes import Model, ModelOutput

SHADES = 256


def answer_to(shade: int) -> tuple[float, ...]:
    """Return the probabilities of a picture of this gray value, other ones for each; float32's own values."""
    first, second = shade % 3, (shade + 1) % 3
    chances = np.zeros(len(CLASS_NAMES), np.float32)
    chances[first] = 0.5 + shade / 1024
    chances[second] = 1 - chances[first]
    return tuple(map(float, chances))


class FakeSession:
    """A session; see `xray_infer.model.runtimes.Session`. Takes batches of one size alone."""

    def __init__(self, batch_size: int) -> None:
        self.manifest: ModelManifest = example_manifest()
        self.runtime = "fake 1"
        self._batch_size = batch_size

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """Answer each picture by its gray value, which all of its pixels have."""
        assert images.shape == (self._batch_size, 224, 224, 1)
        shades = images[:, 0, 0, 0]
        assert (images == shades[:, None, None, None]).all()
        probabilities = np.array([answer_to(int(shade)) for shade in shades], np.float32)
        return ModelOutput(probabilities, np.zeros((len(images), 7, 7, 3), np.float32))


@dataclass(frozen=True, slots=True)
class FakeModel:
    """A model file; see `xray_infer.model.runtimes.Model`."""

    batch_size: int = 1
    digest: str = "ab" * 32

    def open_many(
        self, count: int, *, threads: int = 1, runtime: str | None = None, device: str = CPU
    ) -> Sequence[FakeSession]:
        """Return so many sessions."""
        return [FakeSession(self.batch_size) for _ in range(count)]


def fake_model(batch_size: int) -> Model:
    """Return a model for an engine of this batch size."""
    return cast(Model, FakeModel(batch_size))


@dataclass(slots=True)
class Shade:
    """An item: a picture of one gray value, or a file that is no picture. Counts how often it is read."""

    name: str
    shade: int | None
    mark: str = "1 1"
    reads: list[str] = field(default_factory=list)

    def stamp(self) -> str:
        """See `xray_infer.run.sources.Item`."""
        return self.mark

    def read(self, limits: Limits) -> bytes:
        """See `xray_infer.run.sources.Item`."""
        self.reads.append(self.name)
        if self.shade is None:
            return b"no picture"
        pixels = np.full((9, 9), self.shade, np.uint8)
        return cv2.imencode(".png", pixels)[1].tobytes()
