"""A converted graph, and the table of how a file of each format is made of it: by putting the manifest in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xray_infer.model.embedding import append_tflite_manifest
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Quantization


@dataclass(frozen=True, slots=True)
class ConvertedGraph:
    """A graph in the format of a file, without a manifest, and what was chosen on the way to int8."""

    graph: bytes
    quantization: Quantization | None = None


def _embed_in_onnx(model: bytes, manifest: ModelManifest) -> bytes:
    """Return the ONNX file with its manifest."""
    from xray_infer.export.to_onnx import embed_onnx_manifest

    return embed_onnx_manifest(model, manifest)


EMBED: Final[dict[str, Callable[[bytes, ModelManifest], bytes]]] = {
    "onnx": _embed_in_onnx,
    "tflite": append_tflite_manifest,
}
