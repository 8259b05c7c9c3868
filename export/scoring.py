"""What the formats have in common when the familiarity score is put into a file.

The features come from the middle of the network, inside the last transition but one (in DenseNet121: 512
channels, 14 x 14), where a network knows textures and shapes but not yet its classes. Each channel is
averaged over the upper and over the lower half: a chest upside down is none, a mirrored one is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError
from xray_infer.export.familiarity import Familiarity

MIDDLE = 2  # transitions, counted from the last

# One image, uint8 [224, 224, 1], to its features, float32 [D].
Features = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Scorer(Protocol):
    """One exported file, to which outputs can be added; nothing else in its graph changes.

    `layer` says where its features are taken.
    """

    layer: str

    def open_features(self) -> Features:
        """Open a session, for one thread, that computes features as the file does."""
        ...

    def with_score(self, familiarity: Familiarity) -> bytes:
        """Return the file without its manifest, with the output `ood_score` float32 [N]."""
        ...


def open_scorer(graph: bytes, model_format: str) -> Scorer:
    """Find a file's features. Raises ModelError when its structure is not that of an exported DenseNet."""
    if model_format == "onnx":
        from xray_infer.export.score_onnx import OnnxScorer

        return OnnxScorer(graph)
    from xray_infer.export.score_tflite import TfliteScorer

    return TfliteScorer(graph)


def halves(side: int) -> tuple[int, int]:
    """Return rows and step of two windows that cover a side; the middle row of an odd one is in both.

    Raises ModelError for a side of one pixel, which has no halves.
    """
    if side < 2:
        raise ModelError("the features of this graph are one pixel high: no upper and lower half")
    return (side + 1) // 2, side // 2
