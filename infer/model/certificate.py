"""What the parity gate found of an exported file: the record `parity` in its manifest.

`xray-export` writes it after a file has answered like its Keras model; `xray-export verify` finds it anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from xray_infer.model.json_fields import Fields, count, flag, number, objects_of, text


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

    images: int
    made_up_inputs: int
    inputs_sha256: str
    reference_sha256: str
    runtime: str
    result: RuntimeResult
    tolerance: Tolerance
    other_runtimes: Mapping[str, RuntimeResult]

    def to_dict(self) -> dict[str, object]:
        """Return the record in JSON's types."""
        record = dataclasses.asdict(self)
        result = record.pop("result")
        return {**record, **result}


def read_certificate(value: object, where: str) -> Certificate | None:
    """Read a file's certificate, None for an empty one. Raises ModelError."""
    fields = Fields(value, where)
    if not value:
        return None
    found = Certificate(
        images=fields.need("images", count),
        made_up_inputs=fields.need("made_up_inputs", count),
        inputs_sha256=fields.need("inputs_sha256", text),
        reference_sha256=fields.need("reference_sha256", text),
        runtime=fields.need("runtime", text),
        result=_runtime_figures(fields),
        tolerance=fields.need("tolerance", _tolerance),
        other_runtimes=fields.need("other_runtimes", objects_of(_runtime_result)),
    )
    fields.end()
    return found


def _runtime_result(value: object, where: str) -> RuntimeResult:
    fields = Fields(value, where)
    found = _runtime_figures(fields)
    fields.end()
    return found


def _runtime_figures(fields: Fields) -> RuntimeResult:
    return RuntimeResult(accuracy=fields.need("accuracy", number), **_deviation(fields))


def _tolerance(value: object, where: str) -> Tolerance:
    fields = Fields(value, where)
    found = Tolerance(on_extremes=fields.need("on_extremes", flag), **_deviation(fields))
    fields.end()
    return found


def _deviation(fields: Fields) -> dict[str, float]:
    return {field.name: fields.need(field.name, number) for field in dataclasses.fields(Deviation)}
