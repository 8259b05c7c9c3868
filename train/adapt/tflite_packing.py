"""TFLite files unpacked to objects that can be changed, by the flatbuffer schema, and packed again.

Constants stand behind the flatbuffer, each at a multiple of 16 bytes, as AI Edge Quantizer puts them: kernels
read them where they are.
"""

from __future__ import annotations

from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT: Final = 16
IDENTIFIER: Final = b"TFL3"


def unpack(packed: bytes) -> Any:
    """Unpack a file, its constants taken from behind the flatbuffer. What follows them is left out."""
    model = schema.ModelT.InitFromPackedBuf(packed)
    for buffer in model.buffers:
        if buffer.offset:
            values = packed[buffer.offset : buffer.offset + buffer.size]
            buffer.data, buffer.offset, buffer.size = np.frombuffer(values, np.uint8), 0, 0
    return model


def pack(model: Any) -> bytes:
    """Pack a file; only what no tensor reads, such as metadata, stays inside the flatbuffer."""
    read = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors} - {0}
    buffers = [model.buffers[number] for number in sorted(read)]
    constants = [(one, bytes(one.data)) for one in buffers if one.data is not None and len(one.data)]
    for buffer, values in constants:
        buffer.data, buffer.offset, buffer.size = (
            None,
            1,
            len(values),
        )  # of the same length as the true offset
    end = len(_flatbuffer(model))
    for buffer, values in constants:
        buffer.offset = end = -(-end // ALIGNMENT) * ALIGNMENT
        end += len(values)
    packed = bytearray(_flatbuffer(model))
    for buffer, values in constants:
        packed += bytes(buffer.offset - len(packed)) + values
    return bytes(packed)


def _flatbuffer(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
