"""Reads a TFLite file for inspection, by the flatbuffer schema that ai-edge-litert carries.

The file is a flatbuffer, here with everything in it, and after it a zip archive that holds the manifest
(see `xray_infer.model.manifest`).
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from math import prod
from typing import Any, Final

from xray_infer.errors import extra_for
from xray_infer.export.inspection.contents import Contents, SizeParts, UnsoundError
from xray_infer.model.embedding import MANIFEST_FILE

with extra_for("inspecting a TFLite file", "export"):
    from ai_edge_litert import schema_py_generated as schema

from xray_infer.export.inspection.tflite_graph import TfliteGraph, TfliteTensor, read_tensors

SCALE_ITEM_BYTES: Final = {"min": 4, "max": 4, "scale": 4, "zeroPoint": 8}


def read(data: bytes) -> Contents:
    """Read a file's bytes. Raises UnsoundError."""
    model = _parse(data)
    archive_start, manifest_text = _read_archive(data)
    subgraphs = [read_tensors(graph, model) for graph in model.subgraphs]
    constants = {one.buffer: one for tensors in subgraphs for one in tensors if one.is_constant}
    weights: dict[str, int] = {}
    for index, tensor in constants.items():
        weights[tensor.type] = weights.get(tensor.type, 0) + _buffer_bytes(model.buffers[index])
    scales = sum(_scale_bytes(one.quantization) for graph in model.subgraphs for one in graph.tensors or ())
    unused = sum(_buffer_bytes(one) for index, one in enumerate(model.buffers) if index not in constants)
    archive = len(data) - archive_start
    manifest = archive if manifest_text is not None else 0
    graph_bytes = archive_start - sum(weights.values()) - scales - unused
    if graph_bytes < 0:
        raise UnsoundError("its parts overlap")
    return Contents(
        manifest_text=manifest_text,
        operations=tuple(TfliteGraph(model, subgraphs[0]).operations()),
        size=SizeParts(
            weights=weights,
            scales=scales,
            graph=graph_bytes,
            manifest=manifest,
            rest=unused + archive - manifest,
        ),
        parameters=sum(prod(one.shape or ()) for one in constants.values() if _is_parameter(one)),
        batch=_batch(model, subgraphs[0]),
    )


def _parse(data: bytes) -> Any:
    """Unpack the flatbuffer. What the format does not promise, but every sound model has, is checked."""
    try:
        model = schema.ModelT.InitFromPackedBuf(data)
    except (struct.error, ValueError, IndexError, TypeError, OverflowError) as error:
        raise UnsoundError("its parts point outside it") from error
    if not model.subgraphs or not model.subgraphs[0].operators:
        raise UnsoundError("it has no operators")
    if any(one.offset + one.size > len(data) for one in model.buffers or ()):
        raise UnsoundError("its parts point outside it")
    for graph in model.subgraphs:
        tensors, operators = graph.tensors or (), graph.operators or ()
        sound = all(0 <= one.buffer < len(model.buffers or ()) for one in tensors) and all(
            0 <= one.opcodeIndex < len(model.operatorCodes or ())
            and one.outputs is not None
            and len(one.outputs)
            and all(0 <= index < len(tensors) for index in one.outputs)
            and all(-1 <= index < len(tensors) for index in _indices(one.inputs))
            for one in operators
        )
        if not sound or any(not 0 <= index < len(tensors) for index in _indices(graph.inputs)):
            raise UnsoundError("its operators refer to what is not there")
    return model


def _indices(found: Any) -> list[int]:
    return [] if found is None else [int(index) for index in found]


def _read_archive(data: bytes) -> tuple[int, str | None]:
    """Return where the appended archive starts, the file's end without one, and the manifest's text."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            start = min((entry.header_offset for entry in archive.infolist()), default=len(data))
            if not 0 < start <= len(data):
                return len(data), None
            if MANIFEST_FILE not in archive.namelist():
                return start, None
            return start, archive.read(MANIFEST_FILE).decode()
    # RuntimeError: encryption, unknown methods. ValueError: offsets before the file; bytes that are no text.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError):
        return len(data), None


def _buffer_bytes(buffer: Any) -> int:
    """Return the bytes of a buffer's values; `size` is of those that stand behind the flatbuffer's tables."""
    return int(buffer.size) if buffer.data is None else len(buffer.data)


def _scale_bytes(quantization: Any) -> int:
    if quantization is None:
        return 0
    vectors = {name: getattr(quantization, name) for name in SCALE_ITEM_BYTES}
    return sum(SCALE_ITEM_BYTES[name] * len(one) for name, one in vectors.items() if one is not None)


def _is_parameter(tensor: TfliteTensor) -> bool:
    return tensor.is_quantized or "float" in tensor.type


def _batch(model: Any, tensors: list[TfliteTensor]) -> int:
    shapes = [tensors[index].shape for index in _indices(model.subgraphs[0].inputs)]
    return next((shape[0] for shape in shapes if shape), 1)
