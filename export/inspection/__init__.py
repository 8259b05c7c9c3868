"""What is inside an exported file: its manifest, its operators, its bytes, and what one image costs.

A format is read by one module with a function `read(data: bytes) -> Contents` and one line in `FORMATS`.
No reader loads TensorFlow or runs the model.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import ModelError
from xray_infer.export.inspection.contents import Contents, ModelReport, UnsoundError
from xray_infer.model.manifest import ModelManifest, parse_manifest
from xray_infer.model.runtimes import find_model

# Offsets in a flatbuffer and lengths in a protocol buffer are 32 bits with a sign.
SIZE_LIMIT: Final = 2**31 - 1
HEAD_BYTES: Final = 8
NO_MANIFEST: Final = "no manifest: xray-infer refuses this file"

# A protocol buffer has no magic number, but it begins with the number and kind of a field. These are
# ModelProto's.
ONNX_FIRST_BYTES: Final = b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca\xd2"


@dataclass(frozen=True, slots=True)
class Format:
    """How to read a format: the module, and whether a file's first HEAD_BYTES can be of this format.

    They are looked at first, so that a large file of something else is not loaded. `name` comes with its
    article.
    """

    name: str
    module: str
    begins: Callable[[bytes], bool]


FORMATS: Final = {
    "onnx": Format(
        "an ONNX", "xray_infer.export.inspection.onnx_file", lambda head: head[:1] in ONNX_FIRST_BYTES
    ),
    "tflite": Format(
        "a TFLite", "xray_infer.export.inspection.tflite_file", lambda head: head[4:] == b"TFL3"
    ),
}


def inspect_file(path: Path) -> ModelReport:
    """Inspect an .onnx or .tflite file, with or without a manifest.

    Raises ModelError for a file that is missing, damaged or no model, MissingExtraError without the
    exporting extra.
    """
    if path.is_file() and path.stat().st_size > SIZE_LIMIT:
        raise ModelError(f"{path}: larger than 2 GiB, which no model file can be; give another file")
    model = find_model(path)
    try:
        contents, size_bytes = _read(path, FORMATS[model.format])
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file: {error.strerror}") from error
    except UnsoundError as error:
        raise ModelError(
            f"{path}: not {FORMATS[model.format].name} model, or a damaged one ({error}); "
            "copy the file again or export the model again"
        ) from error
    manifest: ModelManifest | None = None
    problem: str | None = NO_MANIFEST
    if contents.manifest_text is not None:
        try:
            manifest, problem = parse_manifest(contents.manifest_text, path=path), None
        except ModelError as error:
            problem = f"xray-infer refuses this file: {str(error).removeprefix(f'{path}: ')}"
    return ModelReport(path, model.format, model.digest, size_bytes, manifest, problem, contents)


def _read(path: Path, model_format: Format) -> tuple[Contents, int]:
    """Return a file's contents and its size in bytes. Raises UnsoundError, OSError."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if not head:
            raise UnsoundError("it is empty")
        if not model_format.begins(head):
            raise UnsoundError("it does not begin like one")
        stream.seek(0)
        data = stream.read()
    read: Callable[[bytes], Contents] = importlib.import_module(model_format.module).read
    return read(data), len(data)
