"""Quantisation recipes by format and name; a new recipe is one function and one line in `RECIPES`.

The command line reads this table before anything heavy is loaded, so the converters are imported by the
functions that need them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from xray_infer.errors import ModelError
from xray_infer.manifest import ModelManifest, append_tflite_manifest

if TYPE_CHECKING:
    import onnx

    from xray_infer.export.calibration import ImageStream
    from xray_infer.export.edge_graph import EdgeGraph


@dataclass(frozen=True)  # no slots, for the cached property
class Source:
    """What every recipe starts from: the inference graph and the images for calibration."""

    graph: EdgeGraph
    calibration: ImageStream

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        """The float32 ONNX model, converted once; not to be changed."""
        from xray_infer.export.to_onnx import to_onnx

        return to_onnx(self.graph)


Recipe = Callable[[Source], bytes]


def onnx_fp32(source: Source) -> bytes:
    """Quantise nothing."""
    return source.onnx.SerializeToString(deterministic=True)


def onnx_int8_static(source: Source) -> bytes:
    """Convolutions but the first and the last: weights s8 per channel, activations u8, ranges by MinMax."""
    from xray_infer.export.quantize_onnx import quantize

    return quantize(source.onnx, source.calibration).SerializeToString(deterministic=True)


def tflite_fp32(source: Source) -> bytes:
    """Quantise nothing."""
    from xray_infer.export.to_tflite import to_float32

    return to_float32(source.graph)


def tflite_fp16(source: Source) -> bytes:
    """Store weights as float16, compute in float32; needs no calibration."""
    from xray_infer.export.to_tflite import to_float16

    return to_float16(source.graph)


def tflite_int8_dynamic(source: Source) -> bytes:
    """Weights int8 per channel, each activation scaled as it comes; needs no calibration."""
    from xray_infer.export.to_tflite import to_int8_dynamic

    return to_int8_dynamic(source.graph)


def tflite_int8_static(source: Source) -> bytes:
    """Convolutions but the ends and the transitions: weights s8 per channel, activations s8, by MinMax."""
    from xray_infer.export.to_tflite import to_int8_static

    return to_int8_static(source.graph, source.calibration)


def embed_in_onnx(model: bytes, manifest: ModelManifest) -> bytes:
    """Return the ONNX file with its manifest."""
    from xray_infer.export.to_onnx import embed_onnx_manifest

    return embed_onnx_manifest(model, manifest)


RECIPES: Final[dict[tuple[str, str], Recipe]] = {
    ("onnx", "fp32"): onnx_fp32,
    ("onnx", "int8-static"): onnx_int8_static,
    ("tflite", "fp32"): tflite_fp32,
    ("tflite", "fp16"): tflite_fp16,
    ("tflite", "int8-dynamic"): tflite_int8_dynamic,
    ("tflite", "int8-static"): tflite_int8_static,
}
ALIASES: Final = {"int8": "int8-static"}
EMBED: Final[dict[str, Callable[[bytes, ModelManifest], bytes]]] = {
    "onnx": embed_in_onnx,
    "tflite": append_tflite_manifest,
}


def choose(model_format: str, recipes: str) -> tuple[tuple[str, str], ...]:
    """Expand a format (or "all") and a comma-separated list of recipes to keys of `RECIPES`.

    With "all", each format gets those of the recipes that it offers. Raises ModelError for a recipe that
    none of the formats offers.
    """
    formats = list(EMBED) if model_format == "all" else [model_format]
    chosen: dict[tuple[str, str], None] = {}  # ordered, without repetitions
    for given in recipes.split(","):
        recipe = ALIASES.get(given.strip(), given.strip())
        offered = [(name, recipe) for name in formats if (name, recipe) in RECIPES]
        if not offered:
            offers = ", ".join(dict.fromkeys(key[1] for key in RECIPES if key[0] in formats))
            raise ModelError(f"{' and '.join(formats)}: no recipe {given.strip()!r}; there are {offers}")
        chosen.update(dict.fromkeys(offered))
    return tuple(chosen)
