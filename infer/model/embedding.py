"""The manifest in a model file: where it stands in each format, and how it is read and put there.

In ONNX it is the metadata property `MANIFEST_KEY`. In TFLite it is a file of the name `MANIFEST_FILE` in
a zip archive appended to the flatbuffer, the convention of TFLite Metadata
(https://www.tensorflow.org/lite/models/metadata): interpreters ignore the tail, `zipfile` reads it.
Both are read from the file itself: no runtime is needed, and a file of another contract is never loaded.

An ONNX file is a message of protobuf's wire format, a sequence of fields; each begins with the varint
`number << 3 | wire type` (https://protobuf.dev/programming-guides/encoding/). Only length-delimited fields
(wire type 2: strings, bytes, messages) are of use here; the others are stepped over.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from xray_infer.errors import ModelError
from xray_infer.model.manifest import ModelManifest, parse_manifest

# Names that files carry; they do not follow the modules.
MANIFEST_KEY: Final = "xray_infer.manifest"
MANIFEST_FILE: Final = "xray_infer.manifest.json"

# Field numbers of ONNX's ModelProto and StringStringEntryProto (onnx.proto).
_METADATA_PROPS: Final = 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}  # bytes, by wire type; 3 and 4, groups, are long out of use
_MOST_VARINT_BYTES: Final = 10


def append_tflite_manifest(flatbuffer: bytes, manifest: ModelManifest) -> bytes:
    """Append the manifest to a TFLite flatbuffer as a stored, one-file zip archive. Deterministic.

    One that is there already is replaced.
    """
    tail = io.BytesIO()
    tail.write(flatbuffer[: _archive_start(flatbuffer)])
    with zipfile.ZipFile(tail, "a") as archive:
        # ZipInfo's default date, 1980-01-01, keeps the bytes equal from run to run.
        archive.writestr(zipfile.ZipInfo(MANIFEST_FILE), manifest.to_json())
    return tail.getvalue()


def _archive_start(flatbuffer: bytes) -> int:
    """Return where a manifest's archive begins behind a flatbuffer, or where the flatbuffer ends."""
    try:
        with zipfile.ZipFile(io.BytesIO(flatbuffer)) as archive:
            return archive.getinfo(MANIFEST_FILE).header_offset
    except (zipfile.BadZipFile, KeyError):
        return len(flatbuffer)


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


def length_delimited(stream: BinaryIO, number: int) -> Iterator[bytes]:
    """Yield the content of every field of this number in the message that is the whole stream.

    Other fields are stepped over unread, so a large file costs no more than a small one. Raises
    ValueError where the stream is no such message, or ends too early.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    while (position := stream.tell()) < size:
        key = _varint(stream)
        wire_type = key & 7
        if key >> 3 == 0:
            raise ValueError(f"no field begins at byte {position}")
        if wire_type == _VARINT:
            _varint(stream)
            continue
        length = _varint(stream) if wire_type == _LENGTH_DELIMITED else _FIXED_SIZES.get(wire_type)
        if length is None:
            raise ValueError(f"no field begins at byte {position}")
        if length > size - stream.tell():
            raise ValueError(f"it ends within the field at byte {position}")
        if key >> 3 == number and wire_type == _LENGTH_DELIMITED:
            yield stream.read(length)
        else:
            stream.seek(length, os.SEEK_CUR)


def _varint(stream: BinaryIO) -> int:
    """Read a number: seven bits a byte, the lowest first, the eighth bit set on all but the last byte."""
    value = 0
    for index in range(_MOST_VARINT_BYTES):
        byte = stream.read(1)
        if not byte:
            raise ValueError("it ends within a number")
        value |= (byte[0] & 0x7F) << 7 * index
        if byte[0] < 0x80:
            return value
    raise ValueError(f"a number of more than {_MOST_VARINT_BYTES} bytes")


READERS: Final[Mapping[str, Callable[[Path], ModelManifest]]] = {
    "onnx": read_onnx_manifest,
    "tflite": read_tflite_manifest,
}
