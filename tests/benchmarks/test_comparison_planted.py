"""Regressions planted in real programs: a perturbed weight in an ONNX file, a sleep in decoding."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import SAMPLES

onnx = pytest.importorskip("onnx")
pytest.importorskip("scipy")

from comparison_results import BASELINE, image_set, make_results  # noqa: E402

import xray_infer.images.decode  # noqa: E402
from xray_infer.benchmarks.comparison.comparing import compare  # noqa: E402
from xray_infer.benchmarks.comparison.findings import LESS_ACCURATE, NO_DIFFERENCE, Criteria  # noqa: E402
from xray_infer.benchmarks.results_schema import ModelFile, RowAnswers, StageRun  # noqa: E402
from xray_infer.classes import CLASS_NAMES  # noqa: E402
from xray_infer.model.runtimes import find_model  # noqa: E402
from xray_infer.run.engine import STAGES, Engine, Task  # noqa: E402
from xray_infer.run.settings import EngineOptions  # noqa: E402
from xray_infer.run.sources.folder import local_source  # noqa: E402

NOTHING = {"processes": [], "stages": [], "commands": [], "limits": [], "peers": [], "peer_runs": []}


def perturbed(path: Path, out: Path, index: int, change: float) -> Path:
    """Save a copy of the tiny model with one weight changed."""
    model = onnx.load(path)
    weights = next(one for one in model.graph.initializer if one.name == "weights")
    figures = onnx.numpy_helper.to_array(weights).copy()
    figures[index] += change
    weights.CopyFrom(onnx.numpy_helper.from_array(figures, "weights"))
    onnx.save(model, out)
    return out


def results_of(path: Path):
    """Measure the answers of a file to 60 images whose labels are what the sound model says, but for 12."""
    model = find_model(path)
    session = model.open()
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (60, 1, 1, 1)).astype(np.uint8) + np.zeros((1, 224, 224, 1), np.uint8)
    images = replace(image_set(60), labels=[CLASS_NAMES.index("covid")] * 48 + [1] * 12)
    told = np.concatenate([session.run(one[None]).probabilities for one in inputs])
    return make_results(
        sets=[images],
        answers=[RowAnswers(BASELINE, images.name, "all", [[float(p) for p in one] for one in told])],
        models=[ModelFile(BASELINE, path.name, model.digest, path.stat().st_size, 1.0, "")],
        **NOTHING,
    )


def test_a_weight_that_moves_no_label_is_found(tiny_onnx, tmp_path):
    before = results_of(tiny_onnx)
    after = results_of(perturbed(tiny_onnx, tmp_path / "a.onnx", 0, 1e-4))
    found = compare(before, after, Criteria())
    (one,) = found.answers
    assert "answers changed in 1" in found.verdict
    assert one.change.paired.agreement == 1.0
    assert one.change.paired.max_dp > 1e-5
    assert one.verdict == NO_DIFFERENCE
    assert one.change.same_file is False


def test_a_weight_that_moves_labels_is_less_accurate(tiny_onnx, tmp_path):
    before = results_of(tiny_onnx)
    after = results_of(perturbed(tiny_onnx, tmp_path / "a.onnx", 2, 2 / 64))
    found = compare(before, after, Criteria())
    assert found.answers[0].verdict == LESS_ACCURATE
    assert found.regressions == 1


def test_the_same_model_answers_the_same(tiny_onnx):
    found = compare(results_of(tiny_onnx), results_of(tiny_onnx), Criteria())
    assert "0 slower, 0 less accurate" in found.verdict
    assert "answers changed in 0" in found.verdict
    assert found.answers[0].change.same_file is True


def stage_run(engine: Engine, number: int) -> StageRun:
    """Measure the stages of every sample image, one image after another."""
    stages = {name: [] for name in STAGES}
    for item in local_source(SAMPLES):
        before = engine.seconds.totals()
        list(engine.run([Task(item)]))
        for name, seconds in engine.seconds.totals().items():
            stages[name].append(1000 * (seconds - before[name]))
    return StageRun(BASELINE, number, number, stages)


def test_a_sleep_in_decoding_is_found(tiny_onnx, monkeypatch):
    """Both programs in turn, so that what else the machine does meets both alike."""
    really_decode = xray_infer.images.decode.decode_with_station

    def sleepy(data, **options):
        time.sleep(0.005)
        return really_decode(data, **options)

    before, after = [], []
    with Engine(find_model(tiny_onnx), EngineOptions(workers=1)) as engine:
        stage_run(engine, 0)
        for number in range(8):
            before.append(stage_run(engine, number))
            with monkeypatch.context() as patch:
                patch.setattr(xray_infer.images.decode, "decode_with_station", sleepy)
                after.append(stage_run(engine, number))
    first, second = (make_results(**{**NOTHING, "stages": stages}) for stages in (before, after))
    found = {one.measure: one for one in compare(first, second, Criteria()).findings}
    assert found["decode"].verdict == "slower"
    assert found["decode"].regression
