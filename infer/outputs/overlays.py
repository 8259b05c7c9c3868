"""The files of `--heatmap`: for each image with an answer an overlay, or one a class; its maps on request.

The overlay of the most probable class is `NAME.heatmap.jpg`; that of a class that was asked for bears the
class's name, `NAME.covid.heatmap.jpg`, so that runs for several classes can share a folder.
`NAME.heatmap.npz` holds all classes' maps as they are before they are drawn.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xray_infer.classes import ALL, HEATMAP_NOTICE, PREDICTED, RESEARCH_NOTICE
from xray_infer.images.preprocess import WHOLE
from xray_infer.outputs.heatmaps.methods import DEFAULT_METHOD, METHODS, Maps, heatmaps_for, maps_by
from xray_infer.outputs.heatmaps.overlay import draw_overlay, encode
from xray_infer.outputs.naming import file_for, safe, write_file
from xray_infer.run.artifact import MAPS_SUFFIX, OVERLAY_SUFFIXES, Artifact
from xray_infer.run.results import Classified, Row


@dataclass(frozen=True, slots=True)
class Overlays(Artifact):
    """See `Artifact`. `folder` is made when it is needed.

    `class_names` are the model's. `wanted` is `predicted`, one of them or `all`; `format` one of
    OVERLAY_SUFFIXES; `method` one of METHODS. With `raw` the maps are kept, too.
    """

    folder: Path
    class_names: Sequence[str]
    wanted: str = PREDICTED
    format: str = "jpeg"
    raw: bool = False
    method: str = DEFAULT_METHOD

    def facts(self) -> Mapping[str, Any]:
        """Return the folder and what is asked for."""
        return {
            "heatmap": str(self.folder.resolve()),
            "heatmap_for": self.wanted,
            "heatmap_format": self.format,
            "heatmap_raw": self.raw,
            "heatmap_method": self.method,
        }

    def make(self, classified: Classified) -> None:
        """Draw and write one image's files. Raises OutputError."""
        name, row = classified.item.name, classified.row
        maps = maps_by(self.method, classified)
        heatmaps = heatmaps_for(self.wanted, maps, METHODS[self.method], row)
        for path, heatmap in zip(self.files(name).values(), heatmaps, strict=True):
            write_file(path, encode(draw_overlay(classified.pixels, heatmap, row), self.format))
        if self.raw:
            write_file(self._maps(name), maps_file(maps, self.method, row))

    def stands(self, name: str) -> bool:
        """Say whether all files of an item are there."""
        paths = [*self.files(name).values(), *([self._maps(name)] if self.raw else [])]
        return all(path.is_file() for path in paths)

    def files(self, name: str) -> Mapping[str, Path]:
        """Return an item's overlays by what they show, `predicted` or a class, as `heatmaps_for` has them."""
        classes = self.class_names if self.wanted == ALL else (self.wanted,)
        suffix = OVERLAY_SUFFIXES[self.format]
        return {
            one: file_for(self.folder, name, suffix if one == PREDICTED else f".{safe(one)}{suffix}")
            for one in classes
        }

    def _maps(self, name: str) -> Path:
        return file_for(self.folder, name, MAPS_SUFFIX)


def maps_file(maps: Maps, method: str, row: Row) -> bytes:
    """Return the maps of all classes with what they belong to, as NumPy's .npz; no pickle is in it.

    `maps` is float32 [h, w, C] >= 0, in the unit of the method, of the picture's `area`: left, top, right and
    bottom in shares of it. The same maps give the same bytes.
    """
    stream = io.BytesIO()
    np.savez(
        stream,
        maps=np.asarray(maps, dtype=np.float32),
        area=np.array(astuple(row.area or WHOLE)),
        class_names=np.array(row.class_names),
        probabilities=np.array(row.probabilities, np.float32),
        method=np.array(method),
        unit=np.array(METHODS[method].unit),
        model=np.array(row.model),
        model_sha256=np.array(row.model_sha256),
        notice=np.array(f"{HEATMAP_NOTICE} {RESEARCH_NOTICE}"),
    )
    return stream.getvalue()
