"""What a run makes beside its rows: files for each image that got an answer; one kind, one module.

A file stands under its item's own name, see `outputs.naming`, with a suffix of its kind; no source takes it
for an input. It is written before its row is safe in the journal, so what a resumed run takes as known is
there. The modules are in `xray_infer.outputs`; here is what the run, the sources and the command's options
know of them, without what they load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:  # numpy and the runtimes are more than the command's options may load
    import numpy as np
    from numpy.typing import NDArray

    from xray_infer.model.runtimes import ModelOutput
    from xray_infer.run.results import Row
    from xray_infer.run.sources import Item

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


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """An image with an answer, and all that it was made from, for whatever is made of it in turn.

    `row` is `ok`, or `rejected` by its score: it has no probabilities then.
    `data`: the file's bytes. `pixels`: the gray picture at its full size, uint8 [H, W]. `input`:
    uint8 [224, 224, 1]. `cam`: float32 [7, 7, 3]. `run` classifies other inputs, uint8 [N, 224, 224, 1], any
    N >= 1, with the session of this image's worker; only for as long as the call that was given this lasts.
    """

    item: Item
    data: bytes
    pixels: NDArray[np.uint8]
    input: NDArray[np.uint8]
    row: Row
    cam: NDArray[np.float32]
    run: Callable[[NDArray[np.uint8]], ModelOutput]
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict, init=False)


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
