"""What a model file says of how it was made: three of the records in its manifest.

`Training` is xray-train's record, `Quantization` what calibrated an int8 file, `Rejection` how its score was
fitted; the fourth is in `certificate`. They are for people and reports; nothing in them changes an answer. In
a manifest each is a JSON object with the names of the fields as keys; a field that is None is left out, and
an empty object says nothing. Each has one reader, which raises ModelError in one line for a damaged one, and
`to_dict`, which gives back what was read, to the byte.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from xray_infer.model.json_fields import Fields, count, interval, listed, number, objects_of, text

Interval = tuple[float, float]  # of 95 %


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One class against the rest, on the images of a split; shares in 0..1, `support` images are of it."""

    precision: float | None = None
    precision_interval: Interval | None = None
    recall: float | None = None
    recall_interval: Interval | None = None
    support: int | None = None


@dataclass(frozen=True, slots=True)
class SplitResult:
    """How the trained network did on a split; shares in 0..1, `classes` by name."""

    images: int | None = None
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    macro_f1: float | None = None
    classes: Mapping[str, ClassResult] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Training:
    """What the network was trained on, and how it did there; None where its record does not say.

    `data_sha256` is the digest of the data set, `temperature` what was fitted on validation images, 1 where
    nothing was. `record` is all of it, as xray-train wrote it, and what is written again; a changed one is
    made by `read_training`.
    """

    data_sha256: str | None = None
    temperature: float = 1.0
    test: SplitResult | None = None
    validation: SplitResult | None = None
    record: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return the record in JSON's types."""
        return dict(self.record)


def read_training(value: object, where: str) -> Training:
    """Read a training record; `where` names it in errors. Raises ModelError."""
    fields = Fields(value, where)
    temperature = fields.find("temperature", number)
    return Training(
        data_sha256=fields.find("data_sha256", text),
        temperature=1.0 if temperature is None else temperature,
        test=fields.find("test", _split_result),
        validation=fields.find("validation", _split_result),
        record=objects_of(lambda one, _: one)(value, where),
    )


def _split_result(value: object, where: str) -> SplitResult:
    fields = Fields(value, where)
    return SplitResult(
        images=fields.find("images", count),
        accuracy=fields.find("accuracy", number),
        accuracy_interval=fields.find("accuracy_interval", interval),
        macro_f1=fields.find("macro_f1", number),
        classes=fields.find("classes", objects_of(_class_result)) or {},
    )


def _class_result(value: object, where: str) -> ClassResult:
    fields = Fields(value, where)
    return ClassResult(
        precision=fields.find("precision", number),
        precision_interval=fields.find("precision_interval", interval),
        recall=fields.find("recall", number),
        recall_interval=fields.find("recall_interval", interval),
        support=fields.find("support", count),
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate for an int8 file, and how it did on the images of the choice.

    `calibration` is a method of `export.ranges`, `in_float` the layers that stayed in float, by their number
    in `DenseNet.units`. `agreement`: share of images with the Keras model's first class. `accuracy_kept`:
    accuracy over the Keras model's. `mean_dp`: mean absolute difference of probabilities.
    """

    calibration: str
    in_float: tuple[int, ...]
    agreement: float
    accuracy_kept: float
    mean_dp: float


@dataclass(frozen=True, slots=True)
class Quantization:
    """What calibrated an int8 file, and what was tried on `choice_images` validation images.

    `chosen` is one of `tried`. Where there was nothing to choose, `calibration` names the method instead.
    """

    calibration_images: int
    calibration_sha256: str
    choice_images: int
    calibration: str | None = None
    chosen: Attempt | None = None
    tried: tuple[Attempt, ...] | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the record in JSON's types."""
        return _without_none(dataclasses.asdict(self))


def read_quantization(value: object, where: str) -> Quantization | None:
    """Read the record of an int8 file, None for an empty one. Raises ModelError."""
    fields = Fields(value, where)
    if not value:
        return None
    found = Quantization(
        calibration_images=fields.need("calibration_images", count),
        calibration_sha256=fields.need("calibration_sha256", text),
        choice_images=fields.need("choice_images", count),
        calibration=fields.find("calibration", text),
        chosen=fields.find("chosen", _attempt),
        tried=fields.find("tried", listed(_attempt)),
    )
    fields.end()
    return found


def _attempt(value: object, where: str) -> Attempt:
    fields = Fields(value, where)
    found = Attempt(
        calibration=fields.need("calibration", text),
        in_float=fields.need("in_float", listed(count)),
        agreement=fields.need("agreement", number),
        accuracy_kept=fields.need("accuracy_kept", number),
        mean_dp=fields.need("mean_dp", number),
    )
    fields.end()
    return found


@dataclass(frozen=True, slots=True)
class RejectedCount:
    """How many images of a split a file rejects."""

    images: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """How the out-of-distribution score was fitted, and whom its threshold rejects; None: not said.

    `false_rejection` is the share of X-rays like its own that the file may reject, `expected` the share that
    it is expected to. `layer` says where the `features` are taken, of which the score has `components`.
    `rejected` is by runtime and split.
    """

    false_rejection: float
    expected: float | None = None
    method: str | None = None
    layer: str | None = None
    features: int | None = None
    components: int | None = None
    training_images: int | None = None
    training_sha256: str | None = None
    rejected: Mapping[str, Mapping[str, RejectedCount]] | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the record in JSON's types."""
        return _without_none(dataclasses.asdict(self))


def read_rejection(value: object, where: str) -> Rejection | None:
    """Read the record of a file with a score, None for an empty one. Raises ModelError."""
    fields = Fields(value, where)
    if not value:
        return None
    found = Rejection(
        false_rejection=fields.need("false_rejection", number),
        expected=fields.find("expected", number),
        method=fields.find("method", text),
        layer=fields.find("layer", text),
        features=fields.find("features", count),
        components=fields.find("components", count),
        training_images=fields.find("training_images", count),
        training_sha256=fields.find("training_sha256", text),
        rejected=fields.find("rejected", objects_of(objects_of(_rejected_count))),
    )
    fields.end()
    return found


def _rejected_count(value: object, where: str) -> RejectedCount:
    fields = Fields(value, where)
    found = RejectedCount(fields.need("images", count), fields.need("rejected", count))
    fields.end()
    return found


def _without_none(record: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in record.items() if value is not None}
