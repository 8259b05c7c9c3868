"""What a model file says of how it was made: seven of the records in its manifest.

`Training` is xray-train's record, `Quantization` what calibrated an int8 file, `Rejection` how its score was
fitted, `Confidence` how often its labels are right in hospitals that were left out, `Alarm` what a folder's
films are compared with, `Adaptation` to which films its head was fitted anew, `Certificate` what the parity
gate found (`xray-export verify` finds it anew). They are for people and reports; nothing in them changes an
answer. In a manifest each is a JSON object with the names of the fields as keys; a field that is None is left
out, and an empty object says nothing. `json_records` reads them and gives back what was read, to the byte. A
`Count` is a whole number from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xray_infer.model.json_records import FLAT, WHOLE, Count

Interval = tuple[float, float]  # of 95 %


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One class against the rest, on the images of a split; shares in 0..1, `support` images are of it."""

    precision: float | None = None
    precision_interval: Interval | None = None
    recall: float | None = None
    recall_interval: Interval | None = None
    support: Count | None = None


@dataclass(frozen=True, slots=True)
class SplitResult:
    """How the trained network did on a split; shares in 0..1, `classes` by name."""

    images: Count | None = None
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    macro_f1: float | None = None
    classes: Mapping[str, ClassResult] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Training:
    """What the network was trained on, and how it did there; None where its record does not say.

    `data_sha256` is the digest of the data set, `temperature` what was fitted on validation images, 1 where
    nothing was. `record` is all of it, as xray-train wrote it, and what is written again.
    """

    data_sha256: str | None = None
    temperature: float = 1.0
    test: SplitResult | None = None
    validation: SplitResult | None = None
    record: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate for an int8 file, and how it did on the images of the choice.

    `calibration` is a method of `export.ranges`, `in_float` the layers that stayed in float, by their number
    in `DenseNet.units`. `agreement`: share of images with the Keras model's first class. `accuracy_kept`:
    accuracy over the Keras model's. `mean_dp`: mean absolute difference of probabilities.
    """

    calibration: str
    in_float: tuple[Count, ...]
    agreement: float
    accuracy_kept: float
    mean_dp: float


@dataclass(frozen=True, slots=True)
class Quantization:
    """What calibrated an int8 file, and what was tried on `choice_images` validation images.

    `chosen` is one of `tried`. Where there was nothing to choose, `calibration` names the method instead.
    """

    calibration_images: Count
    calibration_sha256: str
    choice_images: Count
    calibration: str | None = None
    chosen: Attempt | None = None
    tried: tuple[Attempt, ...] | None = None


@dataclass(frozen=True, slots=True)
class RejectedCount:
    """How many images of a split a file rejects."""

    images: Count
    rejected: Count


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
    features: Count | None = None
    components: Count | None = None
    training_images: Count | None = None
    training_sha256: str | None = None
    rejected: Mapping[str, Mapping[str, RejectedCount]] | None = None


@dataclass(frozen=True, slots=True)
class Confidence:
    """Temperature and limit of a method, from its answers to domains that it was not trained on.

    `limit`: a label with a lower probability is `uncertain`; 0 where every label is said, None where no limit
    helps. `coverage` is the share of images whose label is said, `accuracy` how many of these are right, and
    `accuracy_of_all` how many of all images; `calibration_error` is at the temperature. All weigh each domain
    alike.
    """

    temperature: float
    coverage: float
    accuracy: float
    accuracy_of_all: float
    calibration_error: float
    images: Count
    domains: tuple[str, ...]
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class LeftOutAccuracy:
    """How often a method is right in hospitals that were left out of its training, each weighed alike.

    `interval` goes from the lower end of the worst hospital's to the upper end of the best one's.
    """

    share: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Figure:
    """A share, or a difference of shares, with its interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the alarm for a strange folder compares with, see `alarm_reference`; texts are base64.

    `basis` is int8 [D, K]; the other texts are float32, little-endian, of the shapes that stand there.
    """

    names: tuple[str, ...]
    basis: str
    scale: str
    offset: str
    corners: str
    noise: str
    spread: str
    films: str
    tolerance: float
    base: float
    slope: float
    accuracy: LeftOutAccuracy | None = None


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The descent of a file whose head was fitted to a clinic's own films; the rest is that of its parent.

    `parent` is the name of the file that it was made of, `parent_sha256` its digest. `data_sha256` is the
    digest of the films with their labels, `films` counts them by class, `groups` patients or other films that
    belong together, `left_out` films that could not be used. `strength` is the L2 penalty's inverse.
    `balanced_accuracy` is cross-validated over groups; of the same films are those of the controls and of the
    old head, by name in `beside`, and the head's `gains` over them. `coverage` is the share of films whose
    label is said, `accuracy` how many of these are right, out of fold. `ood_limit` is the limit before, where
    it was raised. `doubts` is what was told against these figures, `forced` whether the head was written all
    the same.
    """

    parent: str
    parent_sha256: str
    data_sha256: str
    films: Mapping[str, Count]
    groups: Count
    left_out: Count
    strength: float
    balanced_accuracy: Figure
    beside: Mapping[str, Figure]
    gains: Mapping[str, Figure]
    recalls: Mapping[str, float]
    coverage: float
    accuracy: float
    ood_limit: float | None = None
    doubts: tuple[str, ...] = ()
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far an exported file is from its Keras model.

    `agreement`: share of images with the same first class. `accuracy_kept`: accuracy over that of the Keras
    model. `max_dp`, `mean_dp`: absolute difference of probabilities over images and classes, the largest and
    the mean. `cam_error`: largest difference of the maps relative to the Keras model's range.
    `cam_correlation`: median of Pearson's over single maps.
    """

    agreement: float
    accuracy_kept: float
    max_dp: float
    mean_dp: float
    cam_error: float
    cam_correlation: float


@dataclass(frozen=True, slots=True)
class Tolerance(Deviation):
    """Limits for one recipe: agreement, accuracy and correlation from below, errors from above.

    `on_extremes`: whether the made-up inputs must keep to these limits too.
    """

    on_extremes: bool


@dataclass(frozen=True, slots=True)
class RuntimeResult(Deviation):
    """The deviation in one runtime, and the accuracy there."""

    accuracy: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the parity gate found: in `runtime`, the one that users get first, and in the others by name.

    The digests are of the bytes of the inputs, `images` real and `made_up_inputs` others, and of the Keras
    model's answers to them. In JSON the fields of `result` stand among the others.
    """

    images: Count
    made_up_inputs: Count
    inputs_sha256: str
    reference_sha256: str
    runtime: str
    result: RuntimeResult = field(metadata=FLAT)
    tolerance: Tolerance
    other_runtimes: Mapping[str, RuntimeResult]
