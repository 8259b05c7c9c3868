"""The steps of the export as the benchmark takes them apart: the same answers, and sums that add up."""

import shutil

import numpy as np
import pytest
from approved import approved
from training_records import example_record

from xray_infer.study.training_record import write_training_record

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_quantizer")

import onnxruntime
from click.testing import CliRunner

from benchmarks.studies import rounding
from benchmarks.studies.graphs import macs, main, variants

SAYS = approved("xray-bench")

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def graphs(tiny_graph):
    return variants(tiny_graph.pixels, tiny_graph.network)


def test_every_step_gives_the_same_answers(graphs, tiny_reference):
    images = tiny_reference.inputs[tiny_reference.real]
    exact = len([name for name in graphs if "int8" not in name and "the same" not in name])
    assert (exact, len(graphs)) == (5, 9)
    for index, (name, graph) in enumerate(graphs.items()):
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        (probabilities,) = session.run(["probabilities"], {"image": images})
        # At temperature 1.7 as all of the fixture; int8's ranges are of made-up images.
        limit = 1e-5 if index < exact else 0.3
        assert np.abs(probabilities - tiny_reference.probabilities[tiny_reference.real]).max() < limit, name


def test_averaging_first_saves_three_quarters_of_a_transition(graphs):
    kept, saved = (macs(graphs[name]) for name in ("+ gray in one plane", "+ average, then convolve"))
    # 28 x 28 pixels, 12 to 6 channels, then 14 x 14 with 10 to 5; three quarters of each.
    assert kept - saved == 28 * 28 * 12 * 6 * 3 // 4 + 14 * 14 * 10 * 5 * 3 // 4


def test_the_command_prints_every_step_in_every_runtime(tiny_keras, graphs, monkeypatch):
    monkeypatch.setattr("xray_infer.benchmarks.speed.machine_limits.SECONDS", 0.01)
    result = CliRunner().invoke(main, [str(tiny_keras), "--rounds", "2"])
    assert result.exit_code == 0, result.output
    rows = [line.split(" | ")[0].strip("| ") for line in result.stdout.splitlines() if line.startswith("|")]
    assert list(dict.fromkeys(rows[2:])) == list(graphs)
    assert "Limit: images/s" in result.stdout


def test_the_command_measures_what_each_step_keeps(tiny_keras):
    """The last step but one is what the export quantises; all rows differ, as each step changes something."""
    arguments = [str(tiny_keras), "--data", str(tiny_keras.parent / "data")]
    result = CliRunner().invoke(rounding.main, [*arguments, "--images", "6", "--calibration-images", "12"])
    assert result.exit_code == 0, result.output
    rows = [line.strip("| ").split(" | ") for line in result.stdout.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 5 * 3
    assert [row[1] for row in rows[:3]] == ["minmax", "percentile", "entropy"]
    assert len({tuple(row[2:]) for row in rows if row[1] == "minmax"}) == 5
    worst = {row[0]: float(row[3]) for row in rows if row[1] == "minmax"}
    assert worst[SAYS["the-same-the-first"]] < worst[SAYS["channels-that-are-concatenated"]]
    assert SAYS["validation-images-ranges-by"] in result.stdout


def test_other_data_is_refused(tiny_keras, tmp_path):
    model = tmp_path / "other.keras"
    shutil.copy(tiny_keras, model)
    write_training_record(model.with_suffix(".json"), example_record(data_sha256="0" * 64))
    arguments = [str(model), "--data", str(tiny_keras.parent / "data")]
    result = CliRunner().invoke(rounding.main, arguments)
    assert result.exit_code == 2
    assert SAYS["not-the-data-that"].format(model=model) in result.stderr
