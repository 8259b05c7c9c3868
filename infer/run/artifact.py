"""What a run makes beside its rows: files for each image that got an answer; one kind, one module.

A file stands under its item's own name, see `outputs.naming`, with a suffix of its kind; no source takes it
for an input. It is written before its row is safe in the journal, so what a resumed run takes as known is
there. The modules are in `xray_infer.outputs`; here is what the run, the sources and the command's options
know of them, without what they load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:  # numpy and the runtimes are more than the command's options may load
    from xray_infer.run.results import Classified, Row

# The names in `outputs.heatmaps.methods.METHODS`; the first comes with every answer.
GRADCAM: Final = "gradcam"
OCCLUSION: Final = "occlusion"
HEATMAP_METHODS: Final = (GRADCAM, OCCLUSION)
OVERLAY_SUFFIXES: Final[Mapping[str, str]] = {"jpeg": ".heatmap.jpg", "png": ".heatmap.png"}  # by format
MAPS_SUFFIX: Final = ".heatmap.npz"
THUMBNAIL_SUFFIX: Final = ".thumbnail.jpg"
VIEW_SUFFIX: Final = ".view.jpg"
OVERLAY_DICOM_SUFFIX: Final = ".heatmap.dcm"
REPORT_DICOM_SUFFIX: Final = ".report.dcm"
ARTIFACT_SUFFIXES: Final = (
    *OVERLAY_SUFFIXES.values(),
    MAPS_SUFFIX,
    THUMBNAIL_SUFFIX,
    VIEW_SUFFIX,
    OVERLAY_DICOM_SUFFIX,
    REPORT_DICOM_SUFFIX,
)


class Artifact(ABC):
    """One kind of files. Shared by all workers: `make` may run in several threads at once.

    `for_rejected`: also made of images that were rejected by their score, and so have no probabilities.
    """

    __slots__ = ()
    for_rejected: ClassVar[bool] = False

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """Return what its files depend on, for JSON: a run goes on only with the same."""

    @abstractmethod
    def make(self, classified: Classified) -> None:
        """Write one image's files, in a worker's thread. Raises OutputError."""

    @abstractmethod
    def stands(self, name: str) -> bool:
        """Say whether the files of an item of this name are there; the image is classified anew if not."""

    def closing_lines(self) -> Iterable[str]:
        """Return what a person should know in the end, such as what could not be made."""
        return ()

    def record(self) -> Mapping[str, Any]:
        """Return the same by name, for the run's record."""
        return {}


class ReportPage(AbstractContextManager[Any]):
    """A page of all rows at `path`; opened before the first of them. Every method raises OutputError."""

    path: Path

    @abstractmethod
    def write(self, name: str, row: Row) -> None:
        """Take in the row of the item of this name."""

    @abstractmethod
    def publish(self, record: Mapping[str, Any]) -> None:
        """Put a page of the rows so far in place; `record` is as `run.record` makes it."""

    @abstractmethod
    def finish(self, record: Mapping[str, Any]) -> None:
        """Put the page in place, and remove what was partial."""
