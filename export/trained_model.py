"""What every recipe starts from: one network and its images, with all that recipes share computed once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from xray_infer.export.calibration import ImageStream
from xray_infer.export.converted import EMBED, ConvertedGraph
from xray_infer.export.densenet import DenseNet
from xray_infer.export.int8_network import Int8Network, for_int8
from xray_infer.export.quantize_onnx import OnnxQuantizer
from xray_infer.export.quantize_tflite import TfliteQuantizer
from xray_infer.export.ranges import LayerRanges, collect_ranges, collect_statistics
from xray_infer.export.search import Evaluator, Quantizer, choose, rank_by_harm
from xray_infer.export.to_onnx import to_onnx
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Quantization
from xray_infer.study.reference import Reference
from xray_infer.terminal import Report

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, eq=False)  # no slots, for the cached properties
class TrainedModel:
    """One network, the images that calibrate it and the Keras model's answers that choose.

    `calibrations` are keys of `ranges.CALIBRATORS`; `mixed` lets layers stay in float; `draft` is the
    manifest of candidates, which never leave the export.
    """

    network: DenseNet
    calibration: ImageStream
    choice: Reference
    draft: ModelManifest
    calibrations: tuple[str, ...]
    mixed: bool
    report: Report

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        """The float32 ONNX model; not to be changed."""
        return to_onnx(self.network)

    @cached_property
    def equalised(self) -> Int8Network:
        """The network that int8 files are made of."""
        return for_int8(self.network, collect_statistics(self.network, self.calibration))

    @cached_property
    def quantizers(self) -> dict[str, Quantizer]:
        """What makes int8 files, by format. Raises ModelError."""
        return {"onnx": OnnxQuantizer(self.equalised), "tflite": TfliteQuantizer(self.equalised)}

    @cache  # noqa: B019  it lives as long as its export
    def ranges(self, method: str) -> LayerRanges:
        """Return what a calibration method makes of the calibration images."""
        self.report(f"  calibrating by {method} on {len(self.calibration)} images")
        return collect_ranges(self.equalised.exact, self.calibration, method)

    @cache  # noqa: B019
    def ranking(self, method: str) -> tuple[int, ...]:
        """Order the units by the harm of quantising each, worst first, for all formats."""
        self.report("  ranking the layers by the harm of quantising each")
        return rank_by_harm(self.quantizers["onnx"], self.ranges(method), self._evaluator("onnx"))

    def int8(self, model_format: str) -> ConvertedGraph:
        """Search the int8-static file of a format."""
        chosen = choose(
            self.quantizers[model_format],
            [self.ranges(method) for method in self.calibrations],
            self._evaluator(model_format),
            ranking=(lambda ranges: self.ranking(ranges.method)) if self.mixed else None,
            report=self.report,
        )
        return ConvertedGraph(
            chosen.graph, replace(self._quantization, chosen=chosen.attempts[-1], tried=chosen.attempts)
        )

    def int8x16(self) -> ConvertedGraph:
        """Quantise a TFLite file's activations to 16 bits."""
        quantizer = TfliteQuantizer(self.equalised)
        graph = quantizer.quantize(self.ranges("minmax"), in_float=(), activation_bits=16)
        return ConvertedGraph(graph, replace(self._quantization, calibration="minmax"))

    def _evaluator(self, model_format: str) -> Evaluator:
        draft = replace(self.draft, format=model_format, recipe="int8-static")
        return Evaluator(self.choice, f".{model_format}", lambda graph: EMBED[model_format](graph, draft))

    @property
    def _quantization(self) -> Quantization:
        return Quantization(
            calibration_images=len(self.calibration),
            calibration_sha256=self.calibration.digest,
            choice_images=len(self.choice.labels),
        )
