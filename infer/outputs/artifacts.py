"""From the options of the command to what is made beside the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xray_infer.atomic import make_folder
from xray_infer.errors import extra_for
from xray_infer.model.manifest import ModelManifest
from xray_infer.run.artifact import Artifact
from xray_infer.run.settings import AnswerSettings

if TYPE_CHECKING:
    from xray_infer.outputs.overlays import Overlays
    from xray_infer.outputs.page.run_page import Page


@dataclass(frozen=True, slots=True)
class ArtifactOptions:
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


def open_artifacts(
    options: ArtifactOptions, out: Path, manifest: ModelManifest, settings: AnswerSettings
) -> Artifacts:
    """Return what makes all that is asked for; `out` is the file of results, which a report links to.

    Raises OutputError where it cannot be written, and MissingExtraError.
    """
    found: list[Artifact] = []
    if options.overlays is not None:
        make_folder(options.overlays.folder)  # before a row is written that a run with another would refuse
        found.append(options.overlays)
    if options.dicom_out is not None:
        found.append(_dicom_objects(options.dicom_out, options.method, manifest, settings))
    if options.report is None:
        return Artifacts(found)
    from xray_infer.outputs.page.run_page import Page

    page = Page(
        options.report, out, options.overlays, class_names=manifest.class_names, method=options.method
    )
    return Artifacts([*found, page.pictures], page)


def _dicom_objects(folder: Path, method: str, manifest: ModelManifest, settings: AnswerSettings) -> Artifact:
    with extra_for("--dicom-out", "dicom"):
        from xray_infer.outputs.dicom.instance import Program
        from xray_infer.outputs.dicom.objects import DicomObjects

    rules = settings.rules(manifest)
    limit = "none" if rules.ood_threshold is None else f"{rules.ood_threshold:.6g}"
    shown = (
        f"ood_threshold={limit}",
        f"min_confidence={rules.min_confidence:g}",
        f"heatmap_method={method}",
    )
    return DicomObjects(folder, Program(manifest.version, shown), settings.limits, method)
