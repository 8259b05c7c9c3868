"""The inference graph as TFLite: batch size 1, signature `image` -> `probabilities`, `cam`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from xray_infer.export.edge_graph import EdgeGraph, edge_function


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
