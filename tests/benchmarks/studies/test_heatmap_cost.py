"""The study of heat maps: its parts compare what they say they compare."""

import re

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner

from benchmarks.studies import heatmap
from benchmarks.studies.heatmap import main
from benchmarks.studies.without_maps import POOLED, pooled_onnx
from xray_infer.errors import DataError
from xray_infer.model.choice import shipped_model
from xray_infer.model.embedding import READERS
from xray_infer.model.runtime_table import SUFFIXES
from xray_infer.model.runtimes import Model, find_model

SAYS = approved("xray-bench")


def noise_for(model: Model) -> np.ndarray:
    shape = READERS[model.format](model.path).input_shape
    return np.random.default_rng(0).integers(0, 256, (1, *shape)).astype(np.uint8)


@pytest.mark.parametrize("suffix", list(SUFFIXES))
def test_without_maps_the_shipped_files_answer_as_before(suffix, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("ai_edge_litert")
    model = shipped_model(SUFFIXES[suffix])
    image = noise_for(model)
    path = tmp_path / f"without{suffix}"
    path.write_bytes(POOLED[suffix](model.path))
    readers = [one.name for one in model.runtimes() if one.installed()]
    assert readers
    for runtime in readers:
        whole, pooled = (one.open(runtime=runtime).run(image) for one in (model, find_model(path)))
        assert pooled.cam.shape == (1, 1, 1, 3)
        assert np.allclose(pooled.cam[0, 0, 0], whole.cam.mean(axis=(0, 1, 2)), atol=1e-4)
        assert np.allclose(pooled.probabilities, whole.probabilities, atol=1e-5)
        assert np.allclose(pooled.ood_score, whole.ood_score, rtol=1e-4)


def test_a_file_of_another_build_is_refused(float_onnx, tiny_onnx, tmp_path):
    image = noise_for(find_model(tiny_onnx))
    path = tmp_path / "without.onnx"
    path.write_bytes(pooled_onnx(tiny_onnx))
    answers = [find_model(one).open().run(image).probabilities for one in (path, tiny_onnx)]
    assert np.allclose(*answers, atol=1e-6)
    import onnx

    other = onnx.load(tiny_onnx)
    del other.graph.node[-1]  # whatever makes the map is a Transpose of something else then
    head = next(node for node in other.graph.node if node.op_type == "Conv")
    head.op_type = "ConvTranspose"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(DataError, match=SAYS["do-not-come-from"]):
        pooled_onnx(tmp_path / "other.onnx")


def test_stages_are_those_of_each_image(folder):
    (folder / "bad.png").write_bytes(b"")
    stages = heatmap.measure_stages(folder, rounds=2, report=lambda line: None)
    assert stages.images >= 1
    assert stages.megapixels == pytest.approx(stages.images * 300 * 260 / 1e6)
    assert stages.largest_megapixels == pytest.approx(0.078)
    for name in ("bar and text", "all of the drawing", "encode jpeg", "encode png", "write png"):
        assert len(stages.all_ms[name]) == 2
        assert all(taken > 0 for taken in stages.all_ms[name])
        assert max(stages.largest_ms[name]) <= max(stages.all_ms[name])
    table = heatmap.stages_table(stages)
    assert f"{stages.images} images of 0.08 megapixels" in table
    assert {len(line.split("|")) for line in table.splitlines() if line.startswith("|")} == {6}


def test_the_command_prints_its_three_tables(folder, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(heatmap, "CALLS", 1)
    monkeypatch.setattr(heatmap, "SUFFIXES", {".tflite": "tflite"})  # OpenVINO takes seconds to load a file
    monkeypatch.setattr(heatmap, "COMMANDS", dict(list(heatmap.COMMANDS.items())[:2]))
    result = CliRunner().invoke(main, [str(folder), "--images", "3", "--rounds", "1"])
    assert result.exit_code == 0, result.stderr
    assert f"| {shipped_model('tflite').path.name} | ai-edge-litert " in result.stdout
    assert "| up-sample |" in result.stdout
    assert re.search(r"^\| xray-infer --heatmap \| [\d.]+ ", result.stdout, re.MULTILINE)
    assert "3 images, 1 interleaved rounds" in result.stdout
    assert "not for diagnosis" in result.stdout


def test_a_folder_without_answers_is_one_line(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match=SAYS["no-image-that-can"]):
        heatmap.measure_stages(tmp_path, rounds=1, report=lambda line: None)
