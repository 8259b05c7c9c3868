"""From the options of the command to what is made beside the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xray_infer.atomic import make_folder
from xray_infer.errors import extra_for
from xray_infer.model.embedding import READERS
from xray_infer.model.runtimes import Model
from xray_infer.run.beside import Artifact
from xray_infer.run.engine import Classified, EngineOptions, OnClassified
from xray_infer.run.results import OK, REJECTED

if TYPE_CHECKING:
    from xray_infer.outputs.overlays import Overlays
    from xray_infer.outputs.page.page import Page


@dataclass(frozen=True, slots=True)
class WantedArtifacts:
    """What is asked for: folders of overlays and of DICOM objects, a report's page, and how they are drawn.

    `method` is one of METHODS, for all of them; `overlays` describes the files in their folder.
    """

    method: str
    overlays: Overlays | None = None
    dicom_out: Path | None = None
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What is made: `all` of it, and the report's page among it."""

    all: Sequence[Artifact]
    page: Page | None = None

    def on_classified(self) -> OnClassified | None:
        """Return what the engine calls for each image that was judged, None where nothing is made.

        The report alone shows images that were rejected by their score.
        """
        of_rejected: Sequence[Artifact] = [self.page.pictures] if self.page else []
        by_status = {OK: self.all, REJECTED: of_rejected}

        def make(classified: Classified) -> None:
            for artifact in by_status[classified.row.status]:
                artifact.make(classified)

        return make if self.all else None


def open_artifacts(wanted: WantedArtifacts, out: Path, model: Model, options: EngineOptions) -> Artifacts:
    """Return what makes all that is asked for; `out` is the file of results, which a report links to.

    Raises OutputError where it cannot be written, and MissingExtraError.
    """
    made: list[Artifact] = []
    if wanted.overlays is not None:
        make_folder(wanted.overlays.folder)  # before a row is written that a run with another would refuse
        made.append(wanted.overlays)
    if wanted.dicom_out is not None:
        made.append(_dicom_objects(wanted.dicom_out, wanted.method, model, options))
    if wanted.report is None:
        return Artifacts(made)
    from xray_infer.outputs.page.page import Page

    page = Page(wanted.report, out, wanted.overlays, method=wanted.method)
    return Artifacts([*made, page.pictures], page)


def _dicom_objects(folder: Path, method: str, model: Model, options: EngineOptions) -> Artifact:
    with extra_for("--dicom-out", "dicom"):
        from xray_infer.outputs.dicom.made import Maker
        from xray_infer.outputs.dicom.objects import DicomObjects

    manifest = READERS[model.format](model.path)
    limit = manifest.ood_threshold if options.ood_threshold is None else options.ood_threshold
    shown = "none" if limit is None else f"{limit:.6g}"
    rules = (
        f"ood_threshold={shown}",
        f"min_confidence={options.min_confidence:g}",
        f"heatmap_method={method}",
    )
    return DicomObjects(folder, Maker(manifest.version, rules), options.limits, method)
