"""What a model file says of itself: one JSON object that travels inside the file.

In ONNX it is the metadata property `MANIFEST_KEY`. In TFLite it is a file of the name `MANIFEST_FILE` in
a zip archive appended to the flatbuffer, the convention of TFLite Metadata
(https://www.tensorflow.org/lite/models/metadata): interpreters ignore the tail, `zipfile` reads it.
Both are read from the file itself: no runtime is needed, and a file of another contract is never loaded.

A manifest of another schema version, of another preprocessing version or with other class names is
refused: guessing would change answers silently.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import ModelError
from xray_infer.images.preprocess import INPUT_SHAPE, PREPROCESSING_VERSION
from xray_infer.model.protobuf import length_delimited

SCHEMA_VERSION: Final = 1
LATER_FIELDS: Final = frozenset({"quantization", "rejection"})  # records that files of this schema may lack
# Names that files carry; they do not follow the modules.
MANIFEST_KEY: Final = "xray_infer.manifest"
MANIFEST_FILE: Final = "xray_infer.manifest.json"

# Field numbers of ONNX's ModelProto and StringStringEntryProto (onnx.proto).
_METADATA_PROPS: Final = 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

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
    the score was fitted and whom it rejects, `parity` is the exporter's certificate. These are records for
    people and reports; nothing in them changes an answer.
    """

    name: str
    version: str
    method: str
    format: str
    recipe: str
    temperature: float
    training: Mapping[str, Any]
    parity: Mapping[str, Any]
    tool_versions: Mapping[str, str]
    intended_use: str
    quantization: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rejection: Mapping[str, Any] = dataclasses.field(default_factory=dict)
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

    def to_json(self) -> str:
        """Serialise to compact JSON with sorted keys, so that equal manifests are equal bytes."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))


def parse_manifest(text: str, *, path: Path) -> ModelManifest:
    """Parse and check a manifest; `path` names the model file in errors.

    Raises ModelError, one line, for anything that this version of the program cannot run faithfully.
    """
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
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
    if not _is_number(temperature) or temperature <= 0:
        raise ModelError(f"{path}: temperature is {temperature!r}, not a positive number")
    outputs = fields["output_names"]
    if outputs not in (list(OUTPUT_NAMES), [*OUTPUT_NAMES, SCORE_NAME]):
        raise ModelError(
            f"{path}: output_names is {outputs!r}, not {', '.join(OUTPUT_NAMES)} [, {SCORE_NAME}]"
        )
    thresholds = fields["thresholds"]
    limit = thresholds.get(SCORE_NAME) if isinstance(thresholds, dict) else None
    if SCORE_NAME in outputs and not _is_number(limit):
        raise ModelError(f"{path}: the threshold of {SCORE_NAME} is {limit!r}, not a number")
    for key in ("class_names", "input_shape", "output_names"):
        fields[key] = tuple(fields[key])
    return ModelManifest(**fields)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def append_tflite_manifest(flatbuffer: bytes, manifest: ModelManifest) -> bytes:
    """Append the manifest to a TFLite flatbuffer as a stored, one-file zip archive. Deterministic."""
    tail = io.BytesIO()
    tail.write(flatbuffer)
    with zipfile.ZipFile(tail, "a") as archive:
        # ZipInfo's default date, 1980-01-01, keeps the bytes equal from run to run.
        archive.writestr(zipfile.ZipInfo(MANIFEST_FILE), manifest.to_json())
    return tail.getvalue()


def read_onnx_manifest(path: Path) -> ModelManifest:
    """Read the manifest among an ONNX file's metadata. Raises ModelError when there is none."""
    try:
        with path.open("rb") as stream:
            entries = [io.BytesIO(entry) for entry in length_delimited(stream, _METADATA_PROPS)]
        properties = {_text(entry, _ENTRY_KEY): entry for entry in entries}
        if MANIFEST_KEY not in properties:
            raise ModelError(f"{path}: no manifest inside; only ONNX files made by xray-export can be used")
        text = _text(properties[MANIFEST_KEY], _ENTRY_VALUE)
    except ValueError as error:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one ({error})") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file: {error.strerror}") from error
    return parse_manifest(text, path=path)


def _text(message: io.BytesIO, number: int) -> str:
    """Return a string field, empty where it is absent. Raises ValueError."""
    *_, value = b"", *length_delimited(message, number)
    return value.decode()


def read_tflite_manifest(path: Path) -> ModelManifest:
    """Read the manifest appended to a TFLite file. Raises ModelError when there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(MANIFEST_FILE).decode()
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: no manifest inside; only TFLite files made by xray-export can be used"
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file: {error.strerror}") from error
    return parse_manifest(text, path=path)


READERS: Final[Mapping[str, Callable[[Path], ModelManifest]]] = {
    "onnx": read_onnx_manifest,
    "tflite": read_tflite_manifest,
}
