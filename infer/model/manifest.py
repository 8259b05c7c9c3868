"""What a model file says of itself: one JSON object that travels inside the file; see `embedding`.

A manifest of an unknown schema version or preprocessing version is refused: guessing would change answers
silently. Version 1 has the three classes of the study and no output `features`.
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.classes import CLASS_NAMES, check_class_names
from xray_infer.errors import ModelError, one_line
from xray_infer.images.preprocess import SIDES, STUDY, VERSIONS, Preprocessing
from xray_infer.model.alarm_reference import AlarmReference
from xray_infer.model.json_records import JsonError, from_json, json_object, parse_json, to_json
from xray_infer.model.manifest_parts import (
    Adaptation,
    Alarm,
    Certificate,
    Confidence,
    Quantization,
    Rejection,
    Training,
)

SCHEMA_VERSION: Final = 2
PARTS: Final = (
    "parity",
    "quantization",
    "rejection",
    "confidence",
    "alarm",
    "adaptation",
)  # {} where not said
LATER_FIELDS: Final = frozenset(PARTS) - {"parity"}  # which a file may lack
LEFT_OUT: Final = ("confidence", "alarm", "adaptation")  # where it does not say, as files of before have it

# The study's two ways of transfer learning, in the order in which they are trained.
METHODS: Final = ("feature_extraction", "fine_tuning")
INPUT_NAME: Final = "image"
OUTPUT_NAMES: Final = ("probabilities", "cam", "features")
OUTPUTS: Final = {1: OUTPUT_NAMES[:2], SCHEMA_VERSION: OUTPUT_NAMES}  # by schema version
FEATURES_NAME: Final = OUTPUT_NAMES[-1]
SCORE_NAME: Final = "ood_score"  # one more output, of files that know what is like their training images
CONFIDENCE_NAME: Final = "confidence"  # of a limit in `thresholds`


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """The contract of one model file.

    `class_names` are those of the outputs, in their order, see `classes.check_class_names`. `method` is one
    of METHODS, `recipe` the quantisation recipe's name (fp32, int8-static, ...). The graph divides its logits
    by `temperature` before the softmax. `thresholds` holds named limits: that of the `ood_score`, and of the
    `confidence` below which a label is uncertain; others do not count. `training` says what the network was
    trained on and its test metrics, `quantization` what calibrated an int8 file and what was tried,
    `rejection` how the score was fitted and whom it rejects, `confidence` how often labels are right in
    domains that were left out, `alarm` what a folder's films are compared with, `adaptation` to which films
    the head was fitted anew, `parity` is the exporter's certificate; None where the file does not say. These
    are records for people and reports; nothing in them changes an answer.
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
    confidence: Confidence | None = None
    alarm: Alarm | None = None
    adaptation: Adaptation | None = None
    thresholds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = CLASS_NAMES
    input_name: str = INPUT_NAME
    input_shape: tuple[int, ...] = STUDY.shape
    output_names: tuple[str, ...] = OUTPUT_NAMES
    preprocessing_version: int = STUDY.version
    schema_version: int = SCHEMA_VERSION

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes this model's input."""
        return Preprocessing(self.preprocessing_version, self.input_shape[0])

    @property
    def ood_threshold(self) -> float | None:
        """An image with a higher `ood_score` is to be rejected; None where the file has no such output."""
        return self.thresholds[SCORE_NAME] if SCORE_NAME in self.output_names else None

    @property
    def min_confidence(self) -> float:
        """Below this probability a label is `uncertain`; 0 where the file has no limit."""
        return self.thresholds.get(CONFIDENCE_NAME, 0.0)

    @property
    def alarm_reference(self) -> AlarmReference | None:
        """What a folder's films are compared with, decoded anew; None where the file has none."""
        if self.alarm is None or FEATURES_NAME not in self.output_names:
            return None
        return AlarmReference.from_record(self.alarm)

    def to_dict(self) -> dict[str, object]:
        """Return everything in JSON's types."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts = {name: to_json(fields[name]) if fields[name] else {} for name in ("training", *PARTS)}
        for name in LEFT_OUT:
            if fields[name] is None:
                del fields[name], parts[name]
        in_order: dict[str, object] = json.loads(json.dumps(parts, sort_keys=True))
        return {**fields, **in_order}

    def to_json(self) -> str:
        """Serialise to compact JSON with sorted keys, so that equal manifests are equal bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))


def parse_manifest(stored: str, *, path: Path) -> ModelManifest:
    """Parse and check a manifest; `path` names the model file in errors.

    Raises ModelError, one line, for anything that this version of the program cannot run faithfully.
    """
    try:
        fields = json_object(parse_json(stored))
    except JsonError as error:
        raise _refused(path, f"the manifest inside is damaged: {error}") from error
    sides = f"[side, side, 1] with a side from {SIDES[0]} to {SIDES[-1]}, a multiple of {SIDES.step}"
    for key, supported, able in (
        ("schema_version", list(OUTPUTS), " and ".join(map(str, OUTPUTS))),
        ("preprocessing_version", list(VERSIONS), " and ".join(map(str, VERSIONS))),
        ("input_shape", [[side, side, 1] for side in SIDES], sides),
    ):
        if fields.get(key) not in supported:
            found = _short(reprlib.repr(fields.get(key)))
            raise _refused(path, f"{key} is {found}, this version of xray-infer runs {able}")
    known = {field.name for field in dataclasses.fields(ModelManifest)}
    if not known - LATER_FIELDS <= fields.keys() <= known:
        odd = _short(", ".join(sorted(fields.keys() ^ known)))
        raise _refused(path, f"the manifest inside has missing or unknown fields: {odd}")
    if None in fields.values():
        null = ", ".join(name for name, value in fields.items() if value is None)
        raise _refused(path, f"{null} is null, where a value is expected")
    silent = {name: None for name in PARTS if fields.get(name) == {}}
    try:
        manifest = from_json(ModelManifest, fields | silent, known_only=True)
        if manifest.alarm:
            AlarmReference.from_record(manifest.alarm)
    except JsonError as error:
        raise _refused(path, str(error)) from error
    if manifest.temperature <= 0:
        raise _refused(path, f"temperature is {manifest.temperature}, not a positive number")
    try:
        check_class_names(manifest.class_names)
    except ValueError as error:
        raise _refused(path, f"class_names: {error}") from error
    if manifest.schema_version == 1 and manifest.class_names != CLASS_NAMES:
        named = _short(", ".join(manifest.class_names))
        raise _refused(path, f"class_names is {named}; version 1 has {', '.join(CLASS_NAMES)}")
    outputs, known_outputs = manifest.output_names, OUTPUTS[manifest.schema_version]
    if outputs not in (known_outputs, (*known_outputs, SCORE_NAME)):
        named = _short(", ".join(outputs))
        raise _refused(path, f"output_names is {named}, not {', '.join(known_outputs)} [, {SCORE_NAME}]")
    if SCORE_NAME in outputs and SCORE_NAME not in manifest.thresholds:
        raise _refused(path, f"thresholds.{SCORE_NAME} is missing")
    if not 0 <= manifest.min_confidence <= 1:
        raise _refused(path, f"thresholds.{CONFIDENCE_NAME} is {manifest.min_confidence}, not within 0..1")
    return manifest


def _refused(path: Path, problem: str) -> ModelError:
    return ModelError(f"{path}: {problem}; export the model again")


def _short(text: str) -> str:
    return one_line(text, longest=120)
