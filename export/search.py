"""Which calibration method, and which layers stay in float: chosen by measurement on validation images.

First the calibration method, by how closely the fully quantised graph follows the Keras model: of those that
reach the aim, the one with the least mean difference of probabilities. Where none reaches it, the layers are
ranked by the harm that each does when it alone is quantised, and the worst are given back to float, about
twice as many at each step, until the file keeps to the aim. The images of the choice decide nothing
afterwards: the gate has others.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from xray_infer.export.ranges import LayerRanges
from xray_infer.model.manifest_parts import Attempt
from xray_infer.model.runtimes import ModelOutput, find_model
from xray_infer.study.parity import answer, measure
from xray_infer.study.reference import Reference
from xray_infer.terminal import Report

AIM_AGREEMENT: Final = 0.99  # on the images of the choice, so that 0.98 on others is likely
AIM_ACCURACY: Final = 0.99  # of the Keras model's
AIM_MEAN_DP: Final = 0.005  # steadier than agreement, of which one image in 300 is a third of a point
RANKING_IMAGES: Final = 24
FLOAT_STEPS: Final = (1, 2, 4, 8, 16, 32)


class Quantizer(Protocol):
    """Makes int8 files of one format from one network."""

    def __len__(self) -> int:
        """How many units there are, as `DenseNet.units` counts."""
        ...

    def quantize(self, ranges: LayerRanges, *, in_float: Collection[int]) -> bytes:
        """Quantise all units but those of these numbers, counted in order of execution."""
        ...


def reaches_the_aim(attempt: Attempt) -> bool:
    """Whether nothing more needs to stay in float."""
    close = attempt.agreement >= AIM_AGREEMENT and attempt.mean_dp <= AIM_MEAN_DP
    return close and attempt.accuracy_kept >= AIM_ACCURACY


def closeness(attempt: Attempt) -> tuple[bool, float]:
    """Return what better candidates have more of; the mean difference tells more than images that flip."""
    return reaches_the_aim(attempt), -attempt.mean_dp


@dataclass(frozen=True, slots=True)
class Chosen:
    """The file that was chosen, and all that was tried; the chosen attempt is the last."""

    graph: bytes
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Runs candidates on the images of the choice; `embed` adds the manifest that runtimes ask for."""

    reference: Reference
    suffix: str
    embed: Callable[[bytes], bytes]

    def answers(self, graph: bytes, rows: slice) -> ModelOutput:
        """Run a graph on some of the images."""
        with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
            path = Path(folder, f"candidate{self.suffix}")
            path.write_bytes(self.embed(graph))
            session = find_model(path).open(threads=os.cpu_count() or 1)
            return answer(session, self.reference.inputs[rows], "a candidate")

    def attempt(
        self, quantizer: Quantizer, ranges: LayerRanges, in_float: Iterable[int]
    ) -> tuple[Attempt, bytes]:
        """Quantise and measure."""
        kept = tuple(sorted(in_float))
        graph = quantizer.quantize(ranges, in_float=kept)
        rows = self.reference.real
        found = measure(self.answers(graph, rows), self.reference, rows)
        return Attempt(ranges.method, kept, found.agreement, found.accuracy_kept, found.mean_dp), graph


def rank_by_harm(quantizer: Quantizer, ranges: LayerRanges, evaluator: Evaluator) -> tuple[int, ...]:
    """Order the layers by the mean error of the logits when one alone is quantised, worst first."""
    rows = slice(0, min(RANKING_IMAGES, len(evaluator.reference.labels)))
    expected = evaluator.reference.cam[rows].mean(axis=(1, 2))  # logits, less the bias
    everything = range(len(quantizer))
    errors = []
    for layer in everything:
        graph = quantizer.quantize(ranges, in_float=[one for one in everything if one != layer])
        given = evaluator.answers(graph, rows).cam.mean(axis=(1, 2))
        errors.append(float(np.abs(given - expected).mean()))
    return tuple(int(layer) for layer in np.argsort(errors)[::-1])


def choose(
    quantizer: Quantizer,
    candidates: Sequence[LayerRanges],
    evaluator: Evaluator,
    *,
    ranking: Callable[[LayerRanges], Sequence[int]] | None,
    report: Report,
) -> Chosen:
    """Choose among calibrations, then how many layers stay in float (none without a `ranking`)."""
    attempts, graphs = [], {}

    def attempt(ranges: LayerRanges, in_float: Sequence[int]) -> Attempt:
        tried, graph = evaluator.attempt(quantizer, ranges, in_float)
        attempts.append(tried)
        graphs[tried] = graph
        report(
            f"  tried {tried.calibration}, {len(tried.in_float)} layers in float: "
            f"agreement {tried.agreement:.4f}, accuracy kept {tried.accuracy_kept:.4f}, "
            f"mean dp {tried.mean_dp:.4f}"
        )
        return tried

    best = max((attempt(ranges, ()) for ranges in candidates), key=closeness)
    if ranking is not None and not reaches_the_aim(best):
        ranges = next(one for one in candidates if one.method == best.calibration)
        order = ranking(ranges)
        for count in FLOAT_STEPS:
            if reaches_the_aim(attempt(ranges, order[:count])):
                break
        best = max(attempts, key=closeness)
    others = [one for one in attempts if one is not best]
    return Chosen(graphs[best], (*others, best))
