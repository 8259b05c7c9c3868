"""What every recipe starts from: one network and its images, with all that recipes share computed once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from xray_infer.errors import ModelError
from xray_infer.export.calibration import ImageStream
from xray_infer.export.edge_graph import EdgeGraph
from xray_infer.export.quantize_onnx import OnnxQuantizer
from xray_infer.export.quantize_tflite import TfliteQuantizer
from xray_infer.export.ranges import LayerRanges, collect_ranges
from xray_infer.export.recipes import EMBED, Made
from xray_infer.export.reference import Reference
from xray_infer.export.search import Judge, Quantizer, choose, rank_by_harm
from xray_infer.export.to_onnx import to_onnx
from xray_infer.export.to_tflite import to_float32
from xray_infer.manifest import ModelManifest
from xray_infer.terminal import Report

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, eq=False)  # no slots, for the cached properties
class Source:
    """One network, the images that calibrate it and the Keras model's answers that choose.

    `calibrations` are keys of `ranges.METHODS`; `mixed` lets convolutions stay in float; `draft` is the
    manifest of candidates, which never leave the export.
    """

    graph: EdgeGraph
    calibration: ImageStream
    choice: Reference
    draft: ModelManifest
    calibrations: tuple[str, ...]
    mixed: bool
    report: Report

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        """The float32 ONNX model; not to be changed."""
        return to_onnx(self.graph)

    @cached_property
    def tflite(self) -> bytes:
        """The float32 TFLite file."""
        return to_float32(self.graph)

    @cached_property
    def onnx_quantizer(self) -> OnnxQuantizer:
        """What makes int8 files of the ONNX model."""
        return OnnxQuantizer(self.onnx)

    @cached_property
    def tflite_quantizer(self) -> TfliteQuantizer:
        """What makes int8 files of the TFLite file. Raises ModelError when the two formats' graphs differ."""
        quantizer = TfliteQuantizer(self.tflite)
        if quantizer.kernels != self.onnx_quantizer.kernels:
            raise ModelError("the ONNX and the TFLite graph do not hold the same chain of convolutions")
        return quantizer

    @cache  # noqa: B019  a source lives as long as its export
    def ranges(self, method: str) -> LayerRanges:
        """Return what a calibration method makes of the calibration images."""
        self.report(f"  calibrating by {method} on {len(self.calibration)} images")
        return collect_ranges(self.onnx, self.calibration, method)

    @cache  # noqa: B019
    def ranking(self, method: str) -> tuple[int, ...]:
        """Order the convolutions by the harm of quantising each, worst first, for all formats."""
        self.report("  ranking the convolutions by the harm of quantising each")
        return rank_by_harm(self.onnx_quantizer, self.ranges(method), self._judge("onnx"))

    def int8(self, model_format: str) -> Made:
        """Search the int8-static file of a format."""
        quantizer: Quantizer = self.onnx_quantizer if model_format == "onnx" else self.tflite_quantizer
        chosen = choose(
            quantizer,
            [self.ranges(method) for method in self.calibrations],
            self._judge(model_format),
            ranking=(lambda ranges: self.ranking(ranges.method)) if self.mixed else None,
            report=self.report,
        )
        return Made(chosen.graph, self._record(chosen.record()))

    def int8x16(self) -> Made:
        """Quantise a TFLite file's activations to 16 bits."""
        graph = self.tflite_quantizer.quantize(self.ranges("minmax"), in_float=(), activation_bits=16)
        return Made(graph, self._record({"calibration": "minmax"}))

    def _judge(self, model_format: str) -> Judge:
        draft = replace(self.draft, format=model_format, recipe="int8-static")
        return Judge(self.choice, f".{model_format}", lambda graph: EMBED[model_format](graph, draft))

    def _record(self, found: dict[str, object]) -> dict[str, object]:
        images = {"calibration_images": len(self.calibration), "calibration_sha256": self.calibration.digest}
        return {**images, "choice_images": len(self.choice.labels), **found}
