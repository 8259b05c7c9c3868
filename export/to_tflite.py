"""The inference graph as TFLite: batch size 1, signature `image` -> `probabilities`, `cam`."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python.schema_py_generated import BuiltinOperator
from tensorflow.lite.tools import flatbuffer_utils

from xray_infer.export.edge_graph import EdgeGraph, edge_function
from xray_infer.manifest import INPUT_NAME

# Joining branches under one scale, and BatchNormalization's two steps, cost most of the accuracy.
FLOAT_OPERATORS: Final = [
    "CONCATENATION",
    "MUL",
    "ADD",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "PAD",
    "MEAN",
    "SOFTMAX",
]


@contextmanager
def _converter(graph: EdgeGraph) -> Iterator[tf.lite.TFLiteConverter]:
    """Yield a converter of the graph, to be used before the context ends.

    Through a saved model, because `from_concrete_functions` loses the names of the outputs; the saved
    model by Keras's archive, because only its variables are frozen to constants.
    """
    archive = keras.export.ExportArchive()
    archive.track(graph.body)
    archive.add_endpoint("serving_default", edge_function(graph, batch=1))
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
        archive.write_out(folder, verbose=False)
        yield tf.lite.TFLiteConverter.from_saved_model(folder)


def to_float32(graph: EdgeGraph) -> bytes:
    """Convert without quantisation."""
    with _converter(graph) as converter:
        return bytes(converter.convert())


def to_float16(graph: EdgeGraph) -> bytes:
    """Store weights as float16; a CPU computes in float32 all the same."""
    with _converter(graph) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())


def to_int8_dynamic(graph: EdgeGraph) -> bytes:
    """Store weights as int8 per channel; each activation is scaled as it comes."""
    with _converter(graph) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


def to_int8_static(graph: EdgeGraph, images: Iterable[NDArray[np.uint8]]) -> bytes:
    """Quantise convolutions to int8, ranges by MinMax over `images`, but those that carry everything.

    These are the first, the last, and the ones in front of an average pooling, DenseNet's transitions:
    all that a block has found passes through them. On the trained network and 200 held-out X-rays,
    quantising the transitions too moves the probabilities by 0.026 on average (agreement 96.0 %), leaving
    them in float by 0.005 (98.5 %), for 2 MB and no time that could be measured. The debugger is the
    converter's one public way to leave operators in float.
    """
    options = tf.lite.experimental.QuantizationDebugOptions
    with _converter(graph) as converter, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ({INPUT_NAME: image[None]} for image in images)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_options=options(denylisted_ops=FLOAT_OPERATORS)
        )
        debugger.options = options(
            denylisted_ops=FLOAT_OPERATORS, denylisted_nodes=_bottlenecks(debugger.calibrated_model)
        )
        return bytes(debugger.get_nondebug_quantized_model())


def _bottlenecks(flatbuffer: bytes) -> list[str]:
    """Name the outputs of the first and the last convolution and of those that an average pooling reads."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    (graph,) = model.subgraphs

    def of_kind(kind: int) -> list[Any]:
        return [one for one in graph.operators if model.operatorCodes[one.opcodeIndex].builtinCode == kind]

    convolutions = [one.outputs[0] for one in of_kind(BuiltinOperator.CONV_2D)]  # in order of execution
    pooled = {one.inputs[0] for one in of_kind(BuiltinOperator.AVERAGE_POOL_2D)}
    kept = [convolutions[0], *(tensor for tensor in convolutions if tensor in pooled), convolutions[-1]]
    return [graph.tensors[tensor].name.decode() for tensor in kept]
