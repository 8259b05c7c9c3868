"""What a model file says of itself: one JSON object that travels inside the file; see `embedding`.

A manifest of another schema version, of another preprocessing version or with other class names is
refused: guessing would change answers silently.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import ModelError
from xray_infer.images.preprocess import INPUT_SHAPE, PREPROCESSING_VERSION
from xray_infer.model.certificate import Certificate, read_certificate
from xray_infer.model.json_fields import Reader, is_number, objects_of, text
from xray_infer.model.manifest_parts import (
    Quantization,
    Rejection,
    Training,
    read_quantization,
    read_rejection,
    read_training,
)

SCHEMA_VERSION: Final = 1
LATER_FIELDS: Final = frozenset({"quantization", "rejection"})  # records that files of this schema may lack
PARTS: Final[Mapping[str, Reader[Training | Quantization | Rejection | Certificate | None]]] = {
    "training": read_training,
    "quantization": read_quantization,
    "rejection": read_rejection,
    "parity": read_certificate,
}

# The study's two ways of transfer learning, in the order in which they are trained.
METHODS: Final = ("feature_extraction", "fine_tuning")
INPUT_NAME: Final = "image"
OUTPUT_NAMES: Final = ("probabilities", "cam")
SCORE_NAME: Final = "ood_score"  # one more output, of files that know what is like their training images


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """The contract of one model file.

    `method` is one of METHODS, `recipe` the quantisation recipe's name (fp32, int8-static, ...). The graph
    divides its logits by `temperature` before the softmax. `thresholds` holds named limits of the
    out-of-distribution score; of these `ood_threshold` counts. `training` says what the network was trained
    on and its test metrics, `quantization` what calibrated an int8 file and what was tried, `rejection` how
    the score was fitted and whom it rejects, `parity` is the exporter's certificate; None where the file does
    not say. These are records for people and reports; nothing in them changes an answer.
    """

    name: str
    version: str
    method: str
    format: str
    recipe: str
    temperature: float
    training: Training
    parity: Certificate | None
    tool_versions: Mapping[str, str]
    intended_use: str
    quantization: Quantization | None = None
    rejection: Rejection | None = None
    thresholds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = CLASS_NAMES
    input_name: str = INPUT_NAME
    input_shape: tuple[int, ...] = INPUT_SHAPE
    output_names: tuple[str, ...] = OUTPUT_NAMES
    preprocessing_version: int = PREPROCESSING_VERSION
    schema_version: int = SCHEMA_VERSION

    @property
    def ood_threshold(self) -> float | None:
        """An image with a higher `ood_score` is to be rejected; None where the file has no such output."""
        return self.thresholds[SCORE_NAME] if SCORE_NAME in self.output_names else None

    def to_dict(self) -> dict[str, object]:
        """Return everything in JSON's types."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts = {name: _in_order(fields[name].to_dict()) if fields[name] else {} for name in PARTS}
        return {**fields, **parts}

    def to_json(self) -> str:
        """Serialise to compact JSON with sorted keys, so that equal manifests are equal bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))


def _in_order(part: object) -> object:
    """Sort the keys of JSON objects, as a file has them."""
    if isinstance(part, dict):
        return {key: _in_order(part[key]) for key in sorted(part)}
    return [_in_order(one) for one in part] if isinstance(part, list | tuple) else part


def parse_manifest(stored: str, *, path: Path) -> ModelManifest:
    """Parse and check a manifest; `path` names the model file in errors.

    Raises ModelError, one line, for anything that this version of the program cannot run faithfully.
    """
    try:
        fields = json.loads(stored)
    except (ValueError, RecursionError) as error:  # RecursionError: nested thousands deep
        raise ModelError(f"{path}: the manifest inside is not valid JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ModelError(f"{path}: the manifest inside is not a JSON object")
    for key, supported in (
        ("schema_version", SCHEMA_VERSION),
        ("preprocessing_version", PREPROCESSING_VERSION),
        ("class_names", list(CLASS_NAMES)),
        ("input_shape", list(INPUT_SHAPE)),
    ):
        if fields.get(key) != supported:
            raise ModelError(
                f"{path}: {key} is {fields.get(key)!r}, this version of xray-infer runs {supported!r}; "
                "export the model again"
            )
    known = {field.name for field in dataclasses.fields(ModelManifest)}
    if not known - LATER_FIELDS <= fields.keys() <= known:
        odd = ", ".join(sorted(fields.keys() ^ known))
        raise ModelError(f"{path}: the manifest inside has missing or unknown fields: {odd}")
    temperature = fields["temperature"]
    if not is_number(temperature) or temperature <= 0:
        raise ModelError(f"{path}: temperature is {temperature!r}, not a positive number")
    outputs = fields["output_names"]
    if outputs not in (list(OUTPUT_NAMES), [*OUTPUT_NAMES, SCORE_NAME]):
        raise ModelError(
            f"{path}: output_names is {outputs!r}, not {', '.join(OUTPUT_NAMES)} [, {SCORE_NAME}]"
        )
    thresholds = fields["thresholds"]
    limit = thresholds.get(SCORE_NAME) if isinstance(thresholds, dict) else None
    if SCORE_NAME in outputs and not is_number(limit):
        raise ModelError(f"{path}: the threshold of {SCORE_NAME} is {limit!r}, not a number")
    for key in ("class_names", "input_shape", "output_names"):
        fields[key] = tuple(fields[key])
    try:
        fields["tool_versions"] = objects_of(text)(fields["tool_versions"], f"{path}: tool_versions")
        for key, read in PARTS.items():
            fields[key] = read(fields.get(key, {}), f"{path}: {key}")
    except ModelError as error:
        raise ModelError(f"{error}; export the model again") from error
    return ModelManifest(**fields)
