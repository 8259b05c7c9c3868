"""What the formats have in common when the familiarity score is put into a file.

The features come from the middle of the network, inside the last transition but one (in DenseNet121: 512
channels, 14 x 14), where a network knows textures and shapes but not yet its classes. Each channel is
averaged over the upper and over the lower half: a chest upside down is none, a mirrored one is. The columns
in the middle count twice: a chest has its spine and heart there, half a chest has not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Windows:
    """Two by two windows, `rows` x `columns` pixels, `down` and `across` apart; left and right are averaged.

    They cover height and width; of the rows, the middle one of an odd height is in two windows, of the
    columns the one or two in the middle.
    """

    rows: int
    columns: int
    down: int
    across: int


def windows(height: int, width: int) -> Windows:
    """Return the windows for features of a size. Raises ModelError for one that is too small."""
    if height < 2 or width < 3:
        raise ModelError(f"the features of this graph are {height} x {width} pixels: too few for halves")
    columns = width // 2 + 1
    return Windows((height + 1) // 2, columns, height // 2, width - columns)
