"""The result row: one per input, always, whatever happened; and the rules that make a row of an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE, UNCERTAIN
from xray_infer.errors import one_line
from xray_infer.images.preprocess import LUNGS, WHOLE_PICTURE, Area
from xray_infer.model.runtimes import ModelOutput
from xray_infer.run.sources import Item

ROW_SCHEMA: Final = 3

OK: Final = "ok"
REJECTED: Final = "rejected"  # readable, but not something the model may judge
ERROR: Final = "error"  # not readable; `reason` says why


Columns = Mapping[str, type]


def columns(class_names: Sequence[str]) -> Columns:
    """Return the columns of rows of a model's classes, with the type of their values.

    Every output format has them, in this order; a value that does not apply is empty or null.
    """
    return {
        "path": str,
        "status": str,
        "label": str,
        **dict.fromkeys(map(probability_column, class_names), float),
        "confidence": float,
        "raw_label": str,
        "ood_score": float,
        "reason": str,
        "lungs": str,
        "model": str,
        "model_sha256": str,
        "preprocessing_version": int,
        "runtime": str,
        "row_schema": int,
    }


def probability_column(class_name: str) -> str:
    """Return the name of the column that holds a class's probability."""
    return f"prob_{class_name}"


DECIMALS: Final = 6
NO_LUNGS: Final = "none"  # in place of the lungs' box
NO_FRONTAL_CHEST: Final = "no lungs were found: not a frontal view of a chest, or not recognisable as one"
NO_LUNGS_NOTICE: Final = "No lungs were found, so the whole picture was judged."
MOST_REASON: Final = 300  # characters: a damaged file may bring its own text


Cells = Mapping[str, str | float | int | None]


class Tabular(Protocol):
    """What a writer writes: a row that was made here, or one that was read from another file of results."""

    def values(self) -> Cells:
        """Return the row by column, as `columns` has them; numbers with six decimals, None where absent."""
        ...


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as a file of results holds it."""

    cells: Cells

    def values(self) -> Cells:
        """See `Tabular.values`."""
        return self.cells


@dataclass(frozen=True, slots=True)
class Row:
    """One input's result.

    `class_names` are the model's. `probabilities` (0..1, in their order) is empty unless ok. `label` is
    what is shown: the most probable class, or `uncertain`. `ood_score` is the distance from the training
    images, None where the model file does not compute it or nothing was computed. `area` is the part of
    the picture that was judged, None for all of it and where nothing was judged. `runtime` is the package
    that ran the model, with its version: float answers differ in the sixth digit, int8 answers in the
    second. `position` (float16 as bytes, see `model.alarm_reference`; empty unless ok) and `station` are
    for the alarm, and no columns.
    """

    path: str
    status: str
    model: str
    model_sha256: str
    runtime: str
    probabilities: tuple[float, ...] = ()
    label: str = ""
    ood_score: float | None = None
    reason: str = ""
    area: Area | None = None
    preprocessing_version: int = WHOLE_PICTURE
    class_names: tuple[str, ...] = CLASS_NAMES
    position: bytes = b""
    station: str = ""

    @property
    def lungs(self) -> str:
        """Left, top, right and bottom of the lungs' box, in shares of the picture, or NO_LUNGS.

        Empty where nothing was judged, and of a model that is given whole pictures.
        """
        if self.preprocessing_version == WHOLE_PICTURE:
            return ""
        if self.area is not None:
            return " ".join(f"{share:.4f}" for share in astuple(self.area))
        return NO_LUNGS if self.status == OK or self.reason == NO_FRONTAL_CHEST else ""

    @property
    def raw_label(self) -> str:
        """The most probable class, or an empty string when there are no probabilities."""
        if not self.probabilities:
            return ""
        return self.class_names[self.probabilities.index(max(self.probabilities))]

    @property
    def confidence(self) -> float | None:
        """The largest probability, None when there are none."""
        return max(self.probabilities, default=None)

    def values(self) -> Cells:
        """See `Tabular.values`."""
        chances = self.probabilities or (None,) * len(self.class_names)
        names = map(probability_column, self.class_names)
        return {
            "path": self.path,
            "status": self.status,
            "label": self.label,
            **{name: _rounded(value) for name, value in zip(names, chances, strict=True)},
            "confidence": _rounded(self.confidence),
            "raw_label": self.raw_label,
            "ood_score": _rounded(self.ood_score),
            "reason": self.reason,
            "lungs": self.lungs,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "preprocessing_version": self.preprocessing_version,
            "runtime": self.runtime,
            "row_schema": ROW_SCHEMA,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """An image with an answer, and all that it was made from, for whatever is made of it in turn.

    `row` is `ok`, or `rejected` by the rules: it has no probabilities then.
    `data`: the file's bytes. `pixels`: the gray picture at its full size, uint8 [H, W]. `input`:
    uint8 [side, side, 1]. `cam`: float32 [h, w, C]. `run` classifies other inputs, uint8 [N, side, side, 1],
    any N >= 1, with the session of this image's worker; only for as long as the call that was given this
    lasts.
    """

    item: Item
    data: bytes
    pixels: NDArray[np.uint8]
    input: NDArray[np.uint8]
    row: Row
    cam: NDArray[np.float32]
    run: Callable[[NDArray[np.uint8]], ModelOutput]
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict, init=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """What turns an answer into a verdict.

    An image whose out-of-distribution score is above `ood_threshold` is rejected, and one in which a model of
    lungs finds none (None and infinity: neither). One whose largest probability is below `min_confidence`
    (0..1) is labelled `uncertain`.
    """

    ood_threshold: float | None = None
    min_confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes the rows of one model in one runtime."""

    model: str
    model_sha256: str
    runtime: str
    rules: Rules
    preprocessing_version: int = WHOLE_PICTURE
    class_names: tuple[str, ...] = CLASS_NAMES

    def failed(self, name: str, status: str, reason: str) -> Row:
        """Return the row of an input that gave no answer."""
        return self._row(name, status, reason=one_line(reason, longest=MOST_REASON))

    def judged(
        self, name: str, probabilities: Sequence[float], ood_score: float | None, area: Area | None = None
    ) -> Row:
        """Return the row of an answer to an area of the picture, or to all: ok, or rejected by the rules."""
        score = None if ood_score is None else float(ood_score)
        chances = tuple(map(float, probabilities))
        if not all(map(math.isfinite, chances)):
            return self.failed(name, ERROR, "the model gave no finite probabilities")
        label, status, reason = "", OK, self._why_rejected(score, area)
        if reason:
            chances, status = (), REJECTED
        elif max(chances) < self.rules.min_confidence:
            label = UNCERTAIN
            reason = f"confidence {max(chances):.3f} is below {self.rules.min_confidence:.3f}"
        else:
            label = self.class_names[chances.index(max(chances))]
        return self._row(
            name,
            status,
            probabilities=chances,
            label=label,
            ood_score=score,
            reason=reason,
            area=area,
        )

    def _why_rejected(self, score: float | None, area: Area | None) -> str:
        """Return why an answer must not be given, empty where it may."""
        limit = self.rules.ood_threshold
        if limit is None or limit == math.inf:
            return ""
        if self.preprocessing_version == LUNGS and area is None:
            return NO_FRONTAL_CHEST
        # Not `score > limit`: a score that is no number is above every limit.
        if score is not None and not score <= limit:
            return f"unlike the training images: out-of-distribution score {score:.3f}, limit {limit:.3f}"
        return ""

    def _row(self, name: str, status: str, **answer: Any) -> Row:
        return Row(
            printable_name(name),
            status,
            self.model,
            self.model_sha256,
            self.runtime,
            preprocessing_version=self.preprocessing_version,
            class_names=self.class_names,
            **answer,
        )


def printable_name(name: str) -> str:
    """Return a path as valid Unicode: bytes of a file name that are not UTF-8 become \\xNN.

    So do halves of a surrogate pair, which Windows takes in names, in the bytes that UTF-8 would have for
    them.
    """
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = name.encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "backslashreplace")


def probability_table(row: Row) -> str:
    """Return a small table of one image's probabilities, for a person."""
    lines = [row.path]
    ranked = sorted(zip(row.probabilities, row.class_names, strict=True), reverse=True)
    width = max(10, *map(len, row.class_names))
    lines += [f"  {name:<{width}} {value:7.2%}  {'█' * round(30 * value)}" for value, name in ranked]
    if row.reason:
        lines.append(f"  {row.label}: {row.reason}")
    return "\n".join([*lines, RESEARCH_NOTICE])
