"""What the Keras model answers to the parity gate's inputs: held-out images and made-up extremes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.export.edge_graph import EdgeGraph
from xray_infer.preprocess import INPUT_SHAPE
from xray_infer.temperature import at_temperature

BATCH_SIZE: Final = 4  # not 1, so that a free batch size is tried as well


@dataclass(frozen=True, slots=True)
class Reference:
    """What the Keras model answers to the gate's inputs; the last `extremes` of them are made up."""

    inputs: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    cam: NDArray[np.float32]
    extremes: int

    def digests(self) -> dict[str, str]:
        """SHA-256 of the inputs' and of the answers' raw bytes."""
        answers = hashlib.sha256(self.probabilities.tobytes() + self.cam.tobytes())
        return {
            "inputs_sha256": hashlib.sha256(self.inputs.tobytes()).hexdigest(),
            "reference_sha256": answers.hexdigest(),
        }


def extreme_inputs(seed: int) -> NDArray[np.uint8]:
    """Black, white, noise, two ramps, a checkerboard and one hot pixel: uint8 [7, 224, 224, 1]."""
    height, width, _ = INPUT_SHAPE
    ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))
    hot_pixel = np.zeros((height, width), np.uint8)
    hot_pixel[height // 2, width // 2] = 255
    planes = (
        np.zeros_like(ramp),
        np.full_like(ramp, 255),
        np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8),
        ramp,
        ramp.T,
        (np.indices((height, width)).sum(axis=0) % 2 * 255).astype(np.uint8),
        hot_pixel,
    )
    return np.stack(planes)[..., None]


def make_reference(graph: EdgeGraph, images: Iterable[NDArray[np.uint8]], *, seed: int) -> Reference:
    """Ask the untouched Keras model: its own normalisation, pooling and head."""
    extremes = extreme_inputs(seed)
    inputs = np.concatenate([np.stack(list(images)), extremes])
    both = keras.Model(graph.classifier.input, [graph.features.output, graph.classifier.output])
    features, probabilities = both.predict(inputs, batch_size=BATCH_SIZE, verbose=0)
    return Reference(
        inputs=inputs,
        probabilities=at_temperature(probabilities, graph.temperature),
        cam=features @ keras.ops.convert_to_numpy(graph.classifier.layers[-1].kernel),
        extremes=len(extremes),
    )
