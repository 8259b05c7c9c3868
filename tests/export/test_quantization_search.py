"""The search of an int8 file: what it tries, in which order, and what it takes."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime.quantization")

from xray_infer.export import search
from xray_infer.export.ranges import LayerRanges
from xray_infer.export.search import Evaluator, choose, rank_by_harm
from xray_infer.model.runtimes import ModelOutput
from xray_infer.study.reference import Reference

IMAGES = 200


class Network:
    """Eight layers; each adds its own error when it is quantised, and one method's ranges are worse."""

    errors = np.array([0.0, 5.0, 0.1, 0.1, 3.0, 0.1, 0.1, 2.0])
    factors = {"minmax": 1.0, "percentile": 3.0}  # noqa: RUF012

    def __len__(self):
        return len(self.errors)

    def quantize(self, ranges, *, in_float):
        quantized = [layer for layer in range(len(self)) if layer not in in_float]
        return str(self.factors[ranges.method] * sum(self.errors[quantized])).encode()


class Answers(Evaluator):
    """A file whose error is E gives E images in a hundred another class."""

    def answers(self, graph, rows):
        error = float(graph)
        cam = self.reference.cam[rows] + np.float32(error)
        probabilities = self.reference.probabilities[rows].copy()
        wrong = round(error / 100 * IMAGES)
        probabilities[:wrong] = probabilities[:wrong, ::-1]
        return ModelOutput(probabilities, cam)


@pytest.fixture
def judge():
    probabilities = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (IMAGES, 1))
    reference = Reference(
        np.zeros((IMAGES, 224, 224, 1), np.uint8),
        probabilities,
        np.zeros((IMAGES, 7, 7, 3), np.float32),
        np.zeros(IMAGES, np.int64),
    )
    return Answers(reference, ".onnx", lambda graph: graph)


def _ranges(method):
    return LayerRanges(method, ())


def _choose(judge, methods=("percentile", "minmax"), ranking=None):
    lines = []
    chosen = choose(Network(), [_ranges(one) for one in methods], judge, ranking=ranking, report=lines.append)
    return chosen, lines


def test_layers_are_ranked_by_their_own_harm(judge):
    assert rank_by_harm(Network(), _ranges("minmax"), judge)[:3] == (1, 4, 7)


def test_the_worst_layers_go_back_to_float_until_the_aim_is_reached(judge):
    asked = []

    def ranking(ranges):
        asked.append(ranges.method)
        return (1, 4, 7, 2, 3, 5, 6, 0)

    chosen, lines = _choose(judge, ranking=ranking)
    assert asked == ["minmax"]  # the better of the two, ranked once
    tried = [(one.calibration, len(one.in_float)) for one in chosen.attempts]
    assert tried == [("percentile", 0), ("minmax", 0), ("minmax", 1), ("minmax", 2), ("minmax", 4)]
    best = chosen.attempts[-1]
    assert best.in_float == (1, 2, 4, 7)
    assert best.agreement == best.accuracy_kept == 0.995
    assert float(chosen.graph) == pytest.approx(0.3)
    assert len(lines) == 5
    assert chosen.attempts[1].agreement == pytest.approx(0.9, abs=0.01)


def test_without_mixing_the_better_calibration_is_all_there_is(judge):
    chosen, _ = _choose(judge)
    assert [one.calibration for one in chosen.attempts] == ["percentile", "minmax"]
    assert chosen.attempts[-1].in_float == ()


def test_what_is_good_enough_is_not_ranked(judge, monkeypatch):
    monkeypatch.setattr(Network, "errors", np.full(8, 0.05))
    chosen, _ = _choose(judge, ranking=lambda ranges: pytest.fail("not needed"))
    assert chosen.attempts[-1].calibration == "minmax"


def test_out_of_reach_the_closest_is_taken(judge, monkeypatch):
    monkeypatch.setattr(search, "AIM_AGREEMENT", 1.1)
    chosen, _ = _choose(judge, methods=("minmax",), ranking=lambda ranges: (1, 4, 7, 2, 3, 5, 6, 0))
    assert len(chosen.attempts) == 1 + len(search.FLOAT_STEPS)
    assert len(chosen.attempts[-1].in_float) == max(len(one.in_float) for one in chosen.attempts)


def test_one_image_more_does_not_outweigh_the_differences_of_all():
    closer = search.Attempt("entropy", (), agreement=0.991, accuracy_kept=1.0, mean_dp=0.003)
    luckier = search.Attempt("percentile", (), agreement=0.994, accuracy_kept=1.0, mean_dp=0.004)
    too_few = search.Attempt("minmax", (), agreement=0.985, accuracy_kept=1.0, mean_dp=0.002)
    assert max((luckier, too_few, closer), key=search.closeness) is closer
