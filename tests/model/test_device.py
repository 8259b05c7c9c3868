"""`--device cuda`, by a stand-in for onnxruntime-gpu: what really runs is told, and nothing falls back."""

import sys
import types

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner

from xray_infer.cli import main
from xray_infer.errors import ModelError, XrayError
from xray_infer.model.choice import shipped_model
from xray_infer.model.runtime_table import CUDA, DEVICES, RUNTIMES
from xray_infer.model.runtimes import ort
from xray_infer.run.shards import FORMATS

SAYS = approved("xray-infer")

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture
def gpu(monkeypatch):
    """A module that stands for onnxruntime-gpu: its sessions run on the CPU and say what the test wants."""
    import onnxruntime

    module = types.ModuleType("onnxruntime")
    module.__version__ = "9.9"
    module.SessionOptions = onnxruntime.SessionOptions
    module.offered = [CUDA_PROVIDER, CPU_PROVIDER]
    module.get_available_providers = lambda: module.offered
    module.starts = True
    module.asked = []
    module.preloaded = []
    module.preload_dlls = lambda: module.preloaded.append(True)

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path, sess_options, providers):
            module.asked.append(providers)
            self._asked = providers
            super().__init__(path, sess_options=sess_options, providers=[CPU_PROVIDER])

        def get_providers(self):
            return [*self._asked, CPU_PROVIDER] if module.starts else [CPU_PROVIDER]

    module.InferenceSession = Session
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    return module


def infer(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_what_really_runs_is_told_in_one_line_and_stands_in_every_row(gpu, folder, tiny_onnx, tmp_path):
    for out in (tmp_path / "r.jsonl", f"{tmp_path}/s/"):
        given = ("--out", out, "--device", "cuda", "--shard-format", "jsonl")
        result = infer(folder, "--model", tiny_onnx, *given)
        assert result.exit_code == 0, result.stderr
        assert SAYS["device-cuda-by-onnxruntime"] in result.stderr
    rows = (tmp_path / "r.jsonl").read_text().splitlines()
    assert len(rows) == 6
    assert all('"runtime": "onnxruntime 9.9, CUDA"' in row for row in rows)
    assert set(map(tuple, gpu.asked)) == {(CUDA_PROVIDER,)}
    assert gpu.preloaded


def test_a_journal_of_one_device_is_not_gone_on_with_on_another(gpu, folder, tiny_onnx, tmp_path):
    given = (folder, "--model", tiny_onnx, "--out", f"{tmp_path}/s/")
    assert infer(*given, "--device", "cuda").exit_code == 0
    result = infer(*given)
    assert result.exit_code == 2
    assert SAYS["runtime-was-onnxruntime-cuda"] in result.stderr


def test_a_provider_that_does_not_start_is_refused(gpu, folder, tiny_onnx, tmp_path):
    gpu.starts = False
    result = infer(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--device", "cuda")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        SAYS["xray-infer-device-cuda"].format(value=CUDA_PROVIDER, value2=CPU_PROVIDER)
    )
    assert not list(tmp_path.glob("r.csv*"))


def test_an_onnxruntime_without_cuda_is_refused_with_what_to_install(folder, tiny_onnx, tmp_path):
    result = infer(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--device", "cuda")
    assert result.exit_code == 2
    assert result.stderr.startswith(SAYS["xray-infer-device-cuda-this"].format(value=CUDA_PROVIDER))
    assert result.stderr.endswith(SAYS["pip-uninstall-y-onnxruntime"])


@pytest.mark.parametrize("name", [name for name, one in RUNTIMES.items() if CUDA not in one.devices])
def test_a_runtime_without_devices_is_refused(name):
    model = shipped_model(RUNTIMES[name].format)
    with pytest.raises(ModelError, match=SAYS["device-cuda-on-the"]):
        model.open_many(1, runtime=name, device=CUDA)


def test_the_cpu_is_the_default_and_is_not_talked_of(gpu, folder, tiny_onnx, tmp_path):
    result = infer(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0
    assert "device:" not in result.stderr
    assert set(map(tuple, gpu.asked)) == {(CPU_PROVIDER,)}


def test_both_packages_at_once_are_told_before_anything_runs(monkeypatch, folder, tiny_onnx, tmp_path):
    import importlib.metadata

    monkeypatch.setattr(importlib.metadata, "distributions", lambda **given: [object()])
    with pytest.raises(XrayError, match=SAYS["both-installed-and-break"]):
        ort.runtime_name(CUDA)
    result = infer(folder, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--device", "cuda")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "s").exists()


def test_batches_of_any_size_give_the_rows_of_one(gpu, folder, tiny_onnx, tmp_path):
    rows = []
    for size in (1, 4, 256):
        out = tmp_path / f"{size}.csv"
        infer(folder, "--model", tiny_onnx, "--out", out, "--device", "cuda", "--batch-size", size)
        rows.append(np.genfromtxt(out, delimiter=",", usecols=(3, 4, 5), skip_header=1))
    assert rows[0].shape == (6, 3)
    assert rows[1] == pytest.approx(rows[0], abs=2e-6)
    assert rows[2] == pytest.approx(rows[0], abs=2e-6)


@pytest.mark.parametrize(("name", "choices"), [("device", DEVICES), ("shard_format", FORMATS)])
def test_the_command_offers_what_the_tables_hold(name, choices):
    (option,) = (one for one in main.params if one.name == name)
    assert tuple(option.type.choices) == choices
