"""A model file without its heat maps: the last feature map is averaged before the head, as classifiers do it.

In a file as it ships the head is a 1x1 convolution of the feature map, which makes the map; the map's mean is
the logit. With the average before it the same head gives the same logits, and there is no map to compute:
what that saves is what the maps cost. The output `cam` remains, one cell large.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from xray_infer.errors import DataError
from xray_infer.model.embedding import append_tflite_manifest, read_tflite_manifest

_UNKNOWN: Final = "the heat maps of this file do not come from a 1x1 convolution that it can do without"


def pooled_onnx(path: Path) -> bytes:
    """Return an ONNX file with the average first. Raises DataError for one of another build."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    cam = next(output for output in graph.output if output.name == "cam")
    head = producers[cam.name]
    if head.op_type == "Transpose":
        head = producers[head.input[0]]
    if head.op_type != "Conv":
        raise DataError(f"{path}: {_UNKNOWN}")
    pool = onnx.helper.make_node("GlobalAveragePool", [head.input[0]], ["pooled_first"])
    head.input[0] = pool.output[0]
    graph.node.insert(list(graph.node).index(head), pool)
    for dimension in cam.type.tensor_type.shape.dim[1:3]:
        dimension.dim_value = 1
    del graph.value_info[:]
    data: bytes = model.SerializeToString()
    return data


def pooled_tflite(path: Path) -> bytes:
    """Return a TFLite file with the average first. Raises DataError for one of another build."""
    from ai_edge_litert import schema_py_generated as schema

    from xray_infer.train.adapt.tflite_packing import pack, unpack

    model = unpack(path.read_bytes())
    (graph,) = model.subgraphs

    def kind(operator: Any) -> int:
        code = model.operatorCodes[operator.opcodeIndex]
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))

    cam = next(one.tensorIndex for one in model.signatureDefs[0].outputs if one.name == b"cam")
    head = next(one for one in graph.operators if cam in one.outputs)
    means = [
        one for one in graph.operators if kind(one) == schema.BuiltinOperator.MEAN and one.inputs[0] == cam
    ]
    if kind(head) != schema.BuiltinOperator.CONV_2D or not means:
        raise DataError(f"{path}: {_UNKNOWN}")
    pooled = copy.copy(graph.tensors[head.inputs[0]])
    pooled.name, pooled.shape = b"pooled_first", [1, 1, 1, pooled.shape[3]]
    pooled.shapeSignature = None
    graph.tensors.append(pooled)
    pool = copy.copy(means[0])
    pool.inputs, pool.outputs = [head.inputs[0], means[0].inputs[1]], [len(graph.tensors) - 1]
    pool.builtinOptions = copy.copy(means[0].builtinOptions)
    pool.builtinOptions.keepDims = True
    graph.operators.insert(graph.operators.index(head), pool)
    head.inputs = [pool.outputs[0], *head.inputs[1:]]
    graph.tensors[cam].shape, graph.tensors[cam].shapeSignature = [1, 1, 1, 3], None
    return append_tflite_manifest(pack(model), read_tflite_manifest(path))


POOLED: Final[Mapping[str, Callable[[Path], bytes]]] = {".onnx": pooled_onnx, ".tflite": pooled_tflite}
