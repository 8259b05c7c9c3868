"""Quantisation recipes by format and name; a new recipe is one function and one line in `RECIPES`.

The command line reads this table before anything heavy is loaded, so the converters are imported by the
functions that need them. Each docstring says what is quantised, how it is calibrated, and when to use it.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from xray_infer.errors import ModelError
from xray_infer.export.converted import ConvertedGraph
from xray_infer.model.runtime_table import MODEL_FORMATS

if TYPE_CHECKING:
    from xray_infer.export.trained_model import TrainedModel


Recipe = Callable[["TrainedModel"], ConvertedGraph]


def onnx_fp32(trained: TrainedModel) -> ConvertedGraph:
    """Nothing is quantised.

    Needs no calibration. The reference for the others, and the file for a GPU.
    """
    return ConvertedGraph(trained.onnx.SerializeToString(deterministic=True))


def onnx_fp16(trained: TrainedModel) -> ConvertedGraph:
    """Weights are stored as float16 and cast to float32 when the file is loaded.

    Needs no calibration. Half the size at the speed and, within 0.003, the answers of fp32.
    """
    from xray_infer.export.quantize_onnx import to_float16

    return ConvertedGraph(to_float16(trained.onnx).SerializeToString(deterministic=True))


def onnx_int8_dynamic(trained: TrainedModel) -> ConvertedGraph:
    """Convolutions but the first: weights u8, each activation scaled to u8 as it comes.

    Needs no calibration. For trying int8 without data: close to fp32, slower than int8-static.
    """
    from xray_infer.export.quantize_onnx import to_int8_dynamic

    return ConvertedGraph(to_int8_dynamic(trained.onnx).SerializeToString(deterministic=True))


def onnx_int8_static(trained: TrainedModel) -> ConvertedGraph:
    """All but the last ReLU and the head: weights s8 per channel, activations u8. What harms stays float.

    Ranges from training images, by the method and with the float layers that validation images chose.
    The fastest file: what ships.
    """
    return trained.int8("onnx")


def tflite_fp32(trained: TrainedModel) -> ConvertedGraph:
    """Nothing is quantised.

    Needs no calibration. The reference for the other TFLite files.
    """
    from xray_infer.export.to_tflite import to_float32

    return ConvertedGraph(to_float32(trained.network))


def tflite_fp16(trained: TrainedModel) -> ConvertedGraph:
    """Weights are stored as float16; a CPU computes in float32, a phone's GPU in float16.

    Needs no calibration. Half the size at the speed and, within 0.003, the answers of fp32.
    """
    from xray_infer.export.to_tflite import to_float16

    return ConvertedGraph(to_float16(trained.network))


def tflite_int8_dynamic(trained: TrainedModel) -> ConvertedGraph:
    """Convolutions but the first: weights s8 per channel, each activation scaled as it comes.

    Needs no calibration. For trying int8 without data: close to fp32, nearly as fast as int8-static.
    """
    from xray_infer.export.quantize_tflite import to_int8_dynamic

    return ConvertedGraph(to_int8_dynamic(trained.network))


def tflite_int8_static(trained: TrainedModel) -> ConvertedGraph:
    """Convolutions but the head: weights s8 per channel, activations s8. What harms stays float.

    Ranges from training images, by the method and with the float layers that validation images chose.
    For phones and boards that have LiteRT: what ships.
    """
    return trained.int8("tflite")


def tflite_int8x16(trained: TrainedModel) -> ConvertedGraph:
    """Convolutions but the head: weights s8 per channel, activations s16.

    Ranges from training images by MinMax. For accelerators that have it: on a CPU it runs on reference
    kernels, over a second an image.
    """
    return trained.int8x16()


RECIPES: Final[dict[tuple[str, str], Recipe]] = {
    ("onnx", "fp32"): onnx_fp32,
    ("onnx", "fp16"): onnx_fp16,
    ("onnx", "int8-dynamic"): onnx_int8_dynamic,
    ("onnx", "int8-static"): onnx_int8_static,
    ("tflite", "fp32"): tflite_fp32,
    ("tflite", "fp16"): tflite_fp16,
    ("tflite", "int8-dynamic"): tflite_int8_dynamic,
    ("tflite", "int8-static"): tflite_int8_static,
    ("tflite", "int8x16"): tflite_int8x16,
}
ALIASES: Final = {"int8": "int8-static"}
CALIBRATIONS: Final = ("minmax", "percentile", "entropy")


def choose(model_format: str, recipes: str) -> tuple[tuple[str, str], ...]:
    """Expand a format (or "all") and a comma-separated list of recipes to keys of `RECIPES`.

    With "all", each format gets those of the recipes that it offers; the recipe "all" is every one. Raises
    ModelError for a recipe that none of the formats offers.
    """
    formats = list(MODEL_FORMATS) if model_format == "all" else [model_format]
    chosen: dict[tuple[str, str], None] = {}  # ordered, without repetitions
    for given in recipes.split(","):
        recipe = ALIASES.get(given.strip(), given.strip())
        offered = [key for key in RECIPES if key[0] in formats and recipe in (key[1], "all")]
        if not offered:
            offers = ", ".join(dict.fromkeys(key[1] for key in RECIPES if key[0] in formats))
            raise ModelError(f"{' and '.join(formats)}: no recipe {given.strip()!r}; there are {offers}, all")
        chosen.update(dict.fromkeys(offered))
    return tuple(chosen)


@dataclass(frozen=True, slots=True)
class MeasuredRecipe:
    """A recipe's file as it was measured: `ratio` is its speed in `runtime` over that of ONNX fp32."""

    format: str
    recipe: str
    runtime: str
    size_bytes: int
    agreement: float
    max_dp: float
    ratio: float | None


def describe() -> str:
    """Return the table of recipes for people: their docstrings, and figures of a former network.

    The figures come from `measured.json`, which `xray-bench report --recipes` writes.
    """
    measured = json.loads(resources.files(__package__).joinpath("measured.json").read_text(encoding="utf-8"))
    rows = [MeasuredRecipe(**row) for row in measured["recipes"]]
    figures = {(row.format, row.recipe): row for row in rows}
    lines = []
    for (model_format, recipe), convert in RECIPES.items():
        what, when = (convert.__doc__ or "").strip().split("\n\n", 1)
        text = " ".join(f"{what} {when}".split())
        row = figures.get((model_format, recipe))
        text += f" Measured: {_figures(row)}." if row else ""
        head = f"{model_format} {recipe}"
        lines.append(textwrap.fill(text, 110, initial_indent=f"{head:<22}", subsequent_indent=" " * 22))
    lines.append(
        textwrap.fill(
            f"Measured: {measured['method']} of {measured['side']} pixels, {measured['images']} test images; "
            "agreement and largest difference of probabilities (dp) with the Keras model; speed with one "
            f"session a processor, to ONNX fp32 in ONNX Runtime in the same run. {measured['machine']}",
            110,
        )
    )
    return "\n".join(lines)


def _figures(row: MeasuredRecipe) -> str:
    speed = "" if row.ratio is None else f", {row.ratio:.2f} times the speed in {row.runtime}"
    return f"{row.size_bytes / 1e6:.1f} MB, agreement {row.agreement:.1%}, dp {row.max_dp:.2g}{speed}"
