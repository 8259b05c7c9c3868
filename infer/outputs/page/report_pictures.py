"""The pictures of `--report`: of each image a thumbnail, a view and, where it has an answer, an overlay.

A browser shows neither DICOM nor 16-bit TIFF, and ten thousand originals are too many bytes for a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import cv2

from xray_infer.outputs.heatmaps.methods import DEFAULT_METHOD, METHODS, heatmaps_for, maps_by
from xray_infer.outputs.heatmaps.overlay import draw_overlay
from xray_infer.outputs.naming import file_for, write_file
from xray_infer.outputs.shrinking import shrunk
from xray_infer.run.artifact import OVERLAY_SUFFIXES, THUMBNAIL_SUFFIX, VIEW_SUFFIX, Artifact
from xray_infer.run.results import OK, Classified, Row

THUMBNAIL_SIDE: Final = 160  # longest side in pixels
VIEW_SIDE: Final = 1024
_QUALITY: Final = [cv2.IMWRITE_JPEG_QUALITY, 85]


@dataclass(frozen=True, slots=True)
class ReportPictures(Artifact):
    """See `Artifact`. `page` is the report; with `overlays` it has heat maps of its own, by `method`."""

    for_rejected: ClassVar[bool] = True

    page: Path
    overlays: bool
    method: str = DEFAULT_METHOD

    @property
    def folder(self) -> Path:
        """Where the pictures stand: `report_files` for `report.html`."""
        return self.page.with_name(f"{self.page.stem}_files")

    @property
    def suffixes(self) -> Mapping[str, str]:
        """What follows `stem`, by kind of picture."""
        own = {"overlay": OVERLAY_SUFFIXES["jpeg"]} if self.overlays else {}
        return {"thumbnail": THUMBNAIL_SUFFIX, "view": VIEW_SUFFIX, **own}

    @staticmethod
    def has(row: Row) -> bool:
        """Say whether a row's image has pictures: it was judged, though it may be rejected for its score."""
        return row.status == OK or row.ood_score is not None

    def facts(self) -> Mapping[str, Any]:
        """Return the page and the method."""
        return {"report": str(self.page.resolve()), "heatmap_method": self.method}

    def make(self, classified: Classified) -> None:
        """Write one image's pictures. Raises OutputError."""
        view = shrunk(classified.pixels, VIEW_SIDE)
        pictures = {"thumbnail": shrunk(view, THUMBNAIL_SIDE), "view": view}
        if self.overlays and classified.row.probabilities:
            maps = maps_by(self.method, classified)
            (heatmap,) = heatmaps_for("predicted", maps, METHODS[self.method], classified.row)
            pictures["overlay"] = draw_overlay(view, heatmap, classified.row)
        stem = self.stem(classified.item.name)
        for kind, picture in pictures.items():
            data = cv2.imencode(".jpg", picture, _QUALITY)[1].tobytes()
            write_file(stem.with_name(stem.name + self.suffixes[kind]), data)

    def stands(self, name: str) -> bool:
        """Say whether an item's pictures are there."""
        stem = self.stem(name)
        return all(stem.with_name(stem.name + suffix).is_file() for suffix in self.suffixes.values())

    def stem(self, name: str) -> Path:
        """Return the path of an item's pictures without their suffixes."""
        # With the longest suffix: where a long name is cut depends on what follows.
        path = file_for(self.folder, name, THUMBNAIL_SUFFIX)
        return path.with_name(path.name.removesuffix(THUMBNAIL_SUFFIX))
