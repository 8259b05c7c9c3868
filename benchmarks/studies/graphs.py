"""What each step of the export's rewriting gives: the same network as graphs that differ by one step.

Speed only, on ONNX files: the answers of a float graph are the same, and int8's are the gate's business. What
the machine could do at most is measured in the same rounds: matrix products of float32, and of u8 by s8,
large enough to hide everything else.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import onnx
from onnx import TensorProto

from benchmarks.studies.rounds import spread
from benchmarks.studies.study_command import FILE, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.speed.machine_limits import PRODUCT_GMAC, products, rate_of
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.export import load_toolchain
from xray_infer.export.densenet import Convolution, DenseNet, Layer, MaxPool
from xray_infer.export.edge_graph import PixelScaling, load_classifier, take_apart
from xray_infer.export.forward import forward
from xray_infer.export.int8_network import flat, for_int8
from xray_infer.export.quantize_onnx import QdqOps, plan
from xray_infer.export.ranges import LayerRanges, collect_ranges, collect_statistics
from xray_infer.export.to_onnx import OnnxOps, embed_onnx_manifest, to_onnx
from xray_infer.host import default_workers
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Training
from xray_infer.model.runtimes import find_model
from xray_infer.study.reference import extreme_inputs
from xray_infer.terminal import Report, say


class _PlainOps(OnnxOps):
    """Normalisation as other nodes than depthwise convolutions, and (with `pixels`) three planes."""

    def __init__(self, side: int, norm: str, pixels: PixelScaling | None) -> None:
        super().__init__(side)
        self._norm, self._pixels = norm, pixels

    def image(self, centre: int) -> str:
        """See `forward.Ops`."""
        if self._pixels is None:
            return super().image(centre)
        gray = self.add("Cast", self.gray(), to=TensorProto.FLOAT)
        scaled = self.add("Mul", gray, self.constant(self._pixels.scale[:, None, None]))
        return self.add("Add", scaled, self.constant(self._pixels.offset[:, None, None]))

    def convolve(self, values: str, convolution: Convolution) -> str:
        """See `forward.Ops`."""
        if not convolution.depthwise:
            return super().convolve(values, convolution)
        if convolution.stride > 1:
            sides = list(convolution.kernel.shape[:2])
            return self.add("AveragePool", values, kernel_shape=sides, strides=sides)
        return _norm(self, self._norm, values, convolution)


class _FloatJoints(QdqOps):
    """Quantises the convolutions with weights alone: concatenation and normalisation are float."""

    def concatenate(self, values: str, more: str) -> str:
        """See `forward.Ops`."""
        return OnnxOps.concatenate(self, values, self.integer(more)[0])

    def max_pool(self, values: str, pool: MaxPool) -> str:
        """See `forward.Ops`."""
        return OnnxOps.max_pool(self, self.integer(values)[0], pool)

    def float_convolution(self, values: str, convolution: Convolution) -> str:
        """Normalise in float."""
        if convolution.depthwise and convolution.stride == 1:
            return _norm(self, "BatchNormalization", values, convolution)
        return super().float_convolution(values, convolution)


def _norm(ops: OnnxOps, kind: str, values: str, convolution: Convolution) -> str:
    scale, offset = convolution.kernel[0, 0, 0], convolution.bias
    if kind == "Mul, Add":
        scaled = ops.add("Mul", values, ops.constant(scale[:, None, None]))
        return ops.add("Relu", ops.add("Add", scaled, ops.constant(offset[:, None, None])))
    zeros, ones = np.zeros_like(scale), np.ones_like(scale)
    constants = [ops.constant(one) for one in (scale, offset, zeros, ones)]
    return ops.add("Relu", ops.add("BatchNormalization", values, *constants, epsilon=0.0))


def averaging_last(network: DenseNet) -> DenseNet:
    """Return the network with transitions as Keras has them: convolve, then average."""
    blocks = []
    for block in network.blocks:
        if block.transition:
            norm, average, reduce = block.transition
            sides, channels = average.kernel.shape[0], reduce.kernel.shape[-1]
            pool = replace(average, kernel=np.full((sides, sides, 1, channels), 1 / sides**2))
            pool = replace(pool, bias=np.zeros(channels))
            block = replace(block, transition=Layer(norm, reduce, pool))
        blocks.append(block)
    return replace(network, blocks=tuple(blocks))


def variants(pixels: PixelScaling, network: DenseNet) -> dict[str, onnx.ModelProto]:
    """Return the graphs, each a step further than the one before it; the last of a precision is exported.

    Ranges and statistics are of made-up images: speed does not depend on them.
    """
    former = averaging_last(network)
    three = replace(former, stem=pixels.stem)
    images = extreme_inputs(network.side)
    prepared = for_int8(network, collect_statistics(network, images))
    ranges = collect_ranges(prepared.exact, images, "minmax")
    old = for_int8(former, collect_statistics(former, images))
    old_ranges = collect_ranges(old.exact, images, "minmax")
    everything = prepared.mixed(())

    def quantized(
        ops: type[QdqOps], net: DenseNet, extents: LayerRanges, in_float: tuple[int, ...] = ()
    ) -> Any:
        steps = plan(net, extents, in_float)
        if ops is _FloatJoints:
            steps = [
                replace(step, quantized=step.quantized and not one.depthwise)
                for step, one in zip(steps, flat(net), strict=True)
            ]
        return forward(net, ops(net.side, steps))

    return {
        "float32: as in Keras": forward(three, _PlainOps(network.side, "Mul, Add", pixels)),
        "+ BatchNormalization nodes": forward(three, _PlainOps(network.side, "BatchNormalization", pixels)),
        "+ gray in one plane": forward(former, _PlainOps(network.side, "BatchNormalization", None)),
        "+ average, then convolve": forward(network, _PlainOps(network.side, "BatchNormalization", None)),
        "+ normalise by depthwise convolution (fp32)": to_onnx(network),
        "int8: convolutions alone, convolve, then average": quantized(
            _FloatJoints, old.mixed(()), old_ranges
        ),
        "+ average, then convolve (int8)": quantized(_FloatJoints, everything, ranges),
        "+ integers in concatenation and normalisation (int8-static)": quantized(QdqOps, everything, ranges),
        "the same, the first convolution in float": quantized(QdqOps, prepared.mixed((0,)), ranges, (0,)),
    }


def macs(model: onnx.ModelProto) -> int:
    """Count the multiply-accumulates of one image."""
    model = onnx.shape_inference.infer_shapes(model)
    shapes = {
        one.name: [dimension.dim_value for dimension in one.type.tensor_type.shape.dim]
        for one in (*model.graph.value_info, *model.graph.output)
    }
    kernels = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return sum(
        int(np.prod(shapes[node.output[0]][1:]) * np.prod(kernels[node.input[1]][1:]))
        for node in model.graph.node
        if node.op_type == "Conv"
    )


# What the runtimes ask a file for; these files never leave the benchmark.
MANIFEST: Final = ModelManifest(
    name="graph",
    version="",
    method="",
    format="onnx",
    recipe="",
    temperature=1.0,
    training=Training(),
    parity=None,
    tool_versions={},
    intended_use=RESEARCH_NOTICE,
)


@dataclass(frozen=True, slots=True)
class Speed:
    """One graph in one runtime: images per second with one session a processor, a figure a round."""

    graph: str
    runtime: str
    images_per_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What all processors reach in matrix products: 10^9 multiply-accumulates a second, one a round."""

    float32: tuple[float, ...]
    int8: tuple[float, ...]


def compare_graphs(
    graphs: Mapping[str, onnx.ModelProto], side: int, *, rounds: int, report: Report
) -> tuple[list[Speed], Limits]:
    """Time all graphs, of inputs of this side, in all runtimes that read ONNX, and the products, in turn."""
    workers = default_workers()
    image = extreme_inputs(side)[2:3]
    manifest = replace(MANIFEST, input_shape=image.shape[1:])
    turns: dict[tuple[str, str], list[Callable[[], object]]] = {}
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as folder:
        for number, (name, graph) in enumerate(graphs.items()):
            path = Path(folder, f"{number}.onnx")
            path.write_bytes(embed_onnx_manifest(graph.SerializeToString(), manifest))
            model = find_model(path)
            for runtime in (one for one in model.runtimes() if one.installed()):
                sessions = model.open_many(workers, runtime=runtime.name)
                turns[name, runtime.name] = [partial(session.run, image) for session in sessions]
    for kind in ("float32", "int8"):
        turns[kind, ""] = products(kind, workers)
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in turns}
    for number in range(rounds + 1):
        report(f"speed: round {number} of {rounds}" if number else "warm-up")
        for key, calls in turns.items():
            rate = rate_of(calls)
            if number:
                rates[key].append(rate)
    limits = Limits(*(tuple(PRODUCT_GMAC * rate for rate in rates[kind, ""]) for kind in ("float32", "int8")))
    return [Speed(*key, tuple(rates[key])) for key in turns if key[1]], limits


def graphs_table(speeds: Sequence[Speed], limits: Limits, *, gmac: float) -> str:
    """Return Markdown; ratios are to the first graph in the same runtime, and to the limit, round by round.

    `gmac`: 10^9 multiply-accumulates of one image in the Keras model.
    """
    lines = [
        "| graph | runtime | images/s (min-max) | times the first | of peak |",
        "|---" * 5 + "|",
    ]
    for one in speeds:
        first = next(other for other in speeds if other.runtime == one.runtime)
        peak = limits.int8 if "int8" in one.graph or "the same" in one.graph else limits.float32
        ratios = [mine / base for mine, base in zip(one.images_per_s, first.images_per_s, strict=True)]
        share = statistics.median(
            mine * gmac / most for mine, most in zip(one.images_per_s, peak, strict=True)
        )
        lines.append(
            f"| {one.graph} | {one.runtime} | {spread(one.images_per_s, 1)} "
            f"| {spread(ratios, 2)} | {share:.0%} |"
        )
    most = (f"{spread([rate / gmac for rate in one], 1)}" for one in (limits.float32, limits.int8))
    lines.append("")
    lines.append(
        "Limit: images/s if all {:.2f} 10^9 multiply-accumulates of the Keras model ran at the speed of "
        "a large matrix product: {} in float32, {} in u8 by s8.".format(gmac, *most)
    )
    return "\n".join(lines)


@study("graphs")
@click.argument("model", type=FILE)
@rounds_option(7)
def main(model: Path, rounds: int) -> None:
    """Time what each step of the export gives: MODEL, a .keras file, as ONNX graphs that differ by a step."""
    load_toolchain()
    found = take_apart(load_classifier(model), path=model)
    graphs = variants(found.pixels, found.network)
    gmac = macs(graphs["float32: as in Keras"]) / 1e9
    speeds, limits = compare_graphs(graphs, found.network.side, rounds=rounds, report=say)
    click.echo(graphs_table(speeds, limits, gmac=gmac))
    click.echo(f"\n{rounds} interleaved rounds. {describe_machine()}")


if __name__ == "__main__":
    main()
