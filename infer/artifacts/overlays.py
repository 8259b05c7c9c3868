"""The files of `--heatmap`: an overlay for each image with an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from xray_infer.artifacts.naming import file_for, write_file
from xray_infer.engine import Classified
from xray_infer.heatmaps.methods import METHODS, heatmaps_for
from xray_infer.heatmaps.overlay import draw_overlay
from xray_infer.sources.selection import OVERLAY_SUFFIX


@dataclass(frozen=True, slots=True)
class Overlays:
    """See `Artifact`. `folder` is made when the first overlay is written."""

    folder: Path

    def facts(self) -> Mapping[str, Any]:
        """Return the folder."""
        return {"heatmap": str(self.folder.resolve())}

    def make(self, classified: Classified) -> None:
        """Draw and write one image's overlay. Raises OutputError."""
        method = METHODS["gradcam"]
        row = classified.row
        (heatmap,) = heatmaps_for("predicted", method.explain(classified), method, row.raw_label)
        overlay = draw_overlay(classified.pixels, heatmap, row)
        write_file(self._path(classified.item.name), cv2.imencode(".png", overlay)[1].tobytes())

    def stands(self, name: str) -> bool:
        """Say whether an item's overlay is there."""
        return self._path(name).is_file()

    def files(self, name: str) -> Mapping[str, Path]:
        """Return an item's overlays by what they show: `predicted`, or a class."""
        return {"predicted": self._path(name)}

    def _path(self, name: str) -> Path:
        return file_for(self.folder, name, OVERLAY_SUFFIX)
