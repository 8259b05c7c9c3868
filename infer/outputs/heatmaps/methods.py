"""What an image's answer rests on: one map a class. A new method is one function and one line in `METHODS`.

**Grad-CAM** (Selvaraju et al. 2017) comes with the forward pass: the head is global average pooling and one
dense layer, so the gradient of a class's logit with respect to the last feature map is constant, and the map
of the logit is the mean of ReLU(cam[..., class]). It is the logit's map, not that of the softmax probability.

**Occlusion** costs forward passes of its own, see `occlusion`. Window, stride, fill and score were chosen on
validation images by what `xray-bench explain` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import ALL, PREDICTED
from xray_infer.images.preprocess import WHOLE, Area
from xray_infer.outputs.heatmaps.occlusion import Occlusion
from xray_infer.run.artifact import GRADCAM, HEATMAP_METHODS, OCCLUSION
from xray_infer.run.results import Classified, Row

WEAK_SHARE: Final = 0.1
Maps = NDArray[np.float32]  # [h, w, C], one map a class, values >= 0 in the method's unit


@dataclass(frozen=True, slots=True)
class Method:
    """A way of making maps: `title` for people, `explain` an image's answer to its maps for all classes.

    `unit`: of the maps' values, for people. `passes`: forward passes that it needs beside the image's own, by
    the side of the model's input.
    """

    title: str
    explain: Callable[[Classified], Maps]
    unit: str = "logit"
    passes: Callable[[int], int] = lambda side: 0


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """The heat map of one class, of an `area` of the picture: `values`, float32 [h, w] >= 0, in `unit`.

    `scale` is the value that is drawn in the hottest colour: the peak of this map, or of several maps that
    are shown together. `highest` is the largest value in the image's maps of all classes, shown or not.
    """

    values: NDArray[np.float32]
    class_name: str
    title: str
    scale: float
    unit: str = "logit"
    highest: float = 0.0
    area: Area = WHOLE

    @property
    def peak(self) -> float:
        """The largest value of the map; 0 if no region supports the class."""
        return float(self.values.max())

    @property
    def weak(self) -> bool:
        """Whether the class has next to no support: its peak is at most a tenth of another class's."""
        return self.peak <= WEAK_SHARE * self.highest


def grad_cam(cam: NDArray[np.float32]) -> Maps:
    """Return Grad-CAM of every class, float32 [h, w, C] >= 0, from the model's `cam` of one image."""
    maps: Maps = np.maximum(cam, 0) / (cam.shape[0] * cam.shape[1])
    return maps


SHIPPED_OCCLUSION: Final = Occlusion(window=32, stride=16, fill="blur")  # for inputs from 224 pixels on
_OF_SMALL_INPUTS: Final = replace(SHIPPED_OCCLUSION, window=16, stride=8)


def occlusion_of(side: int) -> Occlusion:
    """Return the occlusion that is drawn for a model of this input side; its map has side / stride cells."""
    return SHIPPED_OCCLUSION if side > 192 else _OF_SMALL_INPUTS


METHODS: Final[Mapping[str, Method]] = {
    GRADCAM: Method("Grad-CAM", lambda classified: grad_cam(classified.cam)),
    OCCLUSION: Method(
        "Occlusion",
        lambda classified: occlusion_of(len(classified.input)).explain(classified.run, classified.input),
        unit="log-odds",
        passes=lambda side: occlusion_of(side).passes(side),
    ),
}

DEFAULT_METHOD: Final = HEATMAP_METHODS[0]


def maps_by(method: str, classified: Classified) -> Maps:
    """Return the maps of all classes by one of METHODS; they are made once, whoever else asks."""
    if method not in classified.maps:
        classified.maps[method] = METHODS[method].explain(classified)
    return classified.maps[method]


def heatmaps_for(wanted: str, maps: Maps, method: Method, row: Row) -> tuple[Heatmap, ...]:
    """Return the heat maps of `predicted`, of a class, or of `all` in one scale.

    `maps` are of the picture that `row` is of. A map that is shown alone has its own maximum for scale.
    """
    names = row.class_names if wanted == ALL else (row.raw_label if wanted == PREDICTED else wanted,)
    area = row.area or WHOLE
    chosen = [maps[..., row.class_names.index(name)] for name in names]
    scale = max(float(values.max()) for values in chosen)
    highest = float(maps.max())
    return tuple(
        Heatmap(values, name, method.title, scale, method.unit, highest, area)
        for name, values in zip(names, chosen, strict=True)
    )
