"""The Python interface: `Classifier`, on the same engine as the command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import ALL, PREDICTED
from xray_infer.errors import XrayError
from xray_infer.images.decode import decode
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.images.preprocess import Area
from xray_infer.model.choice import ModelRequest, select_model
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtime_table import SUFFIXES
from xray_infer.run.alarm import RunFilms, Verdict, judge
from xray_infer.run.engine import Engine, Task
from xray_infer.run.results import Row, Rules
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources import Item
from xray_infer.run.sources.folder import FileItem
from xray_infer.terminal import say

if TYPE_CHECKING:
    from xray_infer.outputs.heatmaps.methods import Heatmap

Image = str | Path | bytes | NDArray[np.uint8] | Item
FORMATS: Final = tuple(SUFFIXES.values())
PARTS: Final = "xray_infer.parts"  # entry points, by which the core reaches what builds on it


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the model says of one image. Research use only: not for diagnosis.

    `row` is the result row as the command writes it. `cam` is the class activation map, float32 [h, w, C]
    (`xray_infer.outputs.heatmaps.methods.grad_cam` makes heat maps of it); None unless the status is `ok`.
    """

    row: Row
    cam: NDArray[np.float32] | None = None

    @property
    def status(self) -> str:
        """`ok`, `rejected` (readable, but not suitable for the model) or `error` (not readable)."""
        return self.row.status

    @property
    def label(self) -> str:
        """The most probable class, or `uncertain` if it is below `min_confidence`; empty unless ok."""
        return self.row.label

    @property
    def raw_label(self) -> str:
        """The most probable class, whatever its probability; empty unless ok."""
        return self.row.raw_label

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Probability (0..1) of each class; they sum to 1. Empty unless ok."""
        return dict(zip(self.row.class_names, self.row.probabilities, strict=False))

    @property
    def confidence(self) -> float | None:
        """The largest probability; None unless ok."""
        return self.row.confidence

    @property
    def ood_score(self) -> float | None:
        """How far the image is from the training images; None where it was not computed."""
        return self.row.ood_score

    @property
    def reason(self) -> str:
        """The reason why there is no label, or why it is uncertain; otherwise empty."""
        return self.row.reason

    @property
    def lungs(self) -> Area | None:
        """Where the lungs are that the model was given; None where it was given the whole image, or none."""
        return self.row.area

    def heatmap(self, image: Image, of: str = PREDICTED) -> NDArray[np.uint8]:
        """Draw Grad-CAM over the image that was classified, as the command does: BGR uint8, for cv2.imwrite.

        `image` is the one that was passed to `predict`. `of` is a class, or `predicted` for the most probable
        one. Raises ValueError if there is no answer, and ImageError if the image cannot be read again.

        >>> with Classifier() as classifier:
        ...     found = classifier.predict("samples/phantom_focal_1.png")
        >>> drawn = found.heatmap("samples/phantom_focal_1.png", of="covid")
        >>> drawn.dtype, drawn.ndim
        (dtype('uint8'), 3)
        """
        from xray_infer.outputs.heatmaps.overlay import draw_overlay

        if of == ALL:
            raise ValueError("a heat map shows one class; heatmaps('all') gives those of all")
        (found,) = self.heatmaps(of)
        return draw_overlay(decode(_item(image, 0).read(DEFAULT_LIMITS), side=0), found, self.row)

    def heatmaps(self, of: str = ALL) -> tuple[Heatmap, ...]:
        """Return the Grad-CAM maps, not drawn: of one class, of `predicted`, or of `all` in one colour scale.

        Raises ValueError if there is no answer.
        """
        from xray_infer.outputs.heatmaps.methods import METHODS, grad_cam, heatmaps_for

        if self.cam is None:
            raise ValueError(f"there is no heat map: {self.status}, {self.reason}")
        names = self.row.class_names
        if of not in (PREDICTED, ALL, *names):
            raise ValueError(f"no such class: {of}; take one of {', '.join(names)}, {PREDICTED}")
        return heatmaps_for(of, grad_cam(self.cam), METHODS["gradcam"], self.row)


@dataclass(frozen=True, slots=True, eq=False)
class BytesItem:
    """An image file in memory; see `xray_infer.run.sources.Item`."""

    data: bytes
    name: str

    def stamp(self) -> str:
        """Return nothing: it is never taken for one that is known."""
        return ""

    def read(self, limits: Limits) -> bytes:
        """Return the bytes."""
        return self.data


@dataclass(frozen=True, slots=True, eq=False)
class PixelsItem:
    """Decoded gray pixels, uint8 [H, W]; see `xray_infer.run.sources.Item`."""

    pixels: NDArray[np.uint8]
    name: str

    def stamp(self) -> str:
        """Return nothing: it is never taken for one that is known."""
        return ""

    def read(self, limits: Limits) -> bytes:
        """Return a BMP file of the pixels, which gives them back exactly."""
        import cv2

        return cv2.imencode(".bmp", self.pixels)[1].tobytes()


class Classifier(AbstractContextManager["Classifier", None]):
    """Classifies chest X-rays into the classes of a model. Research use only: not for diagnosis.

    >>> with Classifier() as classifier:
    ...     found = classifier.predict("samples/phantom_normal_1.png")
    >>> found.status, sorted(found.probabilities)
    ('ok', ['covid', 'normal', 'pneumonia'])

    `model` is a file made by xray-export or the name of a shipped model; the default is `feature_extraction`.
    `runtime` is a format (onnx, tflite), which selects the default runtime of that format, or a runtime
    (onnxruntime, litert, openvino, auto). `options` are those of the command: workers, batch size, limits,
    thresholds, isolation. Raises ModelError for a file that cannot be used, and MissingExtraError for a
    runtime that is not installed.

    Several threads may use it, each with one call at a time. Call `close`, or leave the `with` block, to end
    the workers.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        runtime: str = "onnx",
        *,
        options: EngineOptions = EngineOptions(),  # noqa: B008  frozen
    ) -> None:
        asks_for_format = runtime in FORMATS
        request = ModelRequest(
            model, format=runtime if asks_for_format else None, runtime=None if asks_for_format else runtime
        )
        if asks_for_format and model is not None and Path(model).suffix.lower() in SUFFIXES:
            request = ModelRequest(model)  # the file says its format itself
        chosen, name = select_model(request, workers=options.workers or 1, report=say)
        self._engine = Engine(chosen, options, runtime=name)

    @classmethod
    def adapt(
        cls,
        labelled: str | Path,
        out: str | Path,
        *,
        model: str | Path | None = None,
        classes: str | None = None,
        force: bool = False,
    ) -> Classifier:
        """Fit the last layer of a model to your own labelled films, write a model file, and open it.

        As `xray-train adapt` does, and with its arguments: `labelled` is a folder with one sub-folder per
        class or a manifest CSV, `out` the file to write. The figures are in `manifest.adaptation`. Raises
        DataError for labels that cannot be used, or whose figure would mean nothing unless `force` is given,
        and MissingExtraError without the extra `[adapt]`.
        """
        found = entry_points(group=PARTS, name="adapt")
        if not found:
            raise XrayError(
                "this installation has no part that fits a head: pip install 'xray-infer[adapt]' again"
            )
        (entry,) = found
        entry.load()(Path(labelled), Path(out), model=model, classes=classes, force=force)
        return cls(out)

    @property
    def manifest(self) -> ModelManifest:
        """What the model file says of itself."""
        return self._engine.manifest

    @property
    def rules(self) -> Rules:
        """The thresholds that turn an answer into a verdict."""
        return self._engine.maker.rules

    def predict(self, image: Image) -> Prediction:
        """Classify one image: a path, an image file's bytes, gray pixels, uint8 [H, W], or a source's item.

        A file that cannot be read gives a Prediction of status `error` with the reason, as it gives a row in
        the command. Raises ValueError for an array of another type or shape.
        """
        (prediction,) = self.predict_many([image])
        return prediction

    def predict_many(self, images: Iterable[Image | None]) -> Iterator[Prediction]:
        """Yield one Prediction per image, in order, as `predict` returns it.

        Images are consumed a few ahead of the predictions, so memory does not grow with their number. A None
        among them means that the next image may take a while: predictions in flight are yielded first.

        >>> paths = ["samples/phantom_normal_1.png", "samples/README.md"]
        >>> with Classifier() as classifier:
        ...     [found.status for found in classifier.predict_many(paths)]
        ['ok', 'error']
        """
        tasks = (None if image is None else Task(_item(image, place)) for place, image in enumerate(images))
        for outcome in self._engine.run(tasks):
            yield Prediction(outcome.row, outcome.cam)

    def alarm(self, predictions: Iterable[Prediction]) -> Verdict:
        """Say whether the films of a folder are, together, unlike those of the training hospitals.

        Takes the predictions of `predict_many`, one by one and without keeping them; those of status `ok`
        count, and 30 are needed. Folders are told apart by the paths, and DICOM files by station.

        >>> with Classifier() as classifier:
        ...     verdict = classifier.alarm(classifier.predict_many(["samples/phantom_normal_1.png"]))
        >>> verdict.is_strange
        False
        """
        films = RunFilms()
        for one in predictions:
            films.add(one.row)
        return judge(films, self._engine.alarm)

    def __exit__(self, *error: object) -> None:
        """Close it, however the block ends."""
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._engine.close()


def _item(image: Image, number: int) -> Item:
    """Return the engine's item for an image; what has no name is named by its place, from 0."""
    if isinstance(image, bytes):
        return BytesItem(image, f"image {number}")
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
            raise ValueError(f"expected gray pixels, uint8 [H, W], got {image.dtype} {image.shape}")
        return PixelsItem(image, f"image {number}")
    if isinstance(image, str | Path):
        return FileItem(Path(image), str(image))
    return image
