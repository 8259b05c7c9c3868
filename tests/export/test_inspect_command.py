"""The command `xray-export inspect`: its page, its JSON, its options, and what it loads."""

import json
import subprocess
import sys

import pytest
from approved import approved

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

import onnx
from click.testing import CliRunner
from model_files import SHIPPED, qdq_onnx
from onnx import helper
from specimens import example_adaptation, example_manifest

from xray_infer.export.cli import main
from xray_infer.export.inspection import NO_MANIFEST, inspect_file, report_text
from xray_infer.export.inspection.report_text import to_text
from xray_infer.model.embedding import MANIFEST_KEY

SAYS = approved("xray-export")


def invoke(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def test_the_command_prints_a_page_and_the_same_as_json(float_onnx):
    page = invoke(float_onnx)
    assert page.exit_code == 0, page.output
    lines = page.stdout.splitlines()
    assert lines[0].startswith(f"{float_onnx}: onnx, {float_onnx.stat().st_size:,} bytes, sha256 ")
    assert SAYS["model-tiny-method-fine"] in page.stdout
    for row in (
        ["Conv", "1"],
        ["weights", "float32", "532"],
        ["MACs", "float32", "1,748"],
        ["parameters", "133"],
        ["bytes", "of", "activations", "written", "564"],
        ["bytes", "of", "the", "largest", "of", "them", "256", "(conv)"],
    ):
        assert row in [line.split()[: len(row)] for line in lines]
    facts = json.loads(invoke(float_onnx, "--json").stdout)
    assert facts["cost"]["macs"] == {"float32": 1748}
    assert facts["cost"]["total_macs"] == 1748
    assert (facts["cost"]["activation_bytes"], facts["cost"]["largest_activation"]) == (564, "conv")
    size = facts["size"]
    assert sum([*size.pop("weights").values(), *size.values()]) == facts["size_bytes"]
    assert {"op_type": "Conv", "precision": "float32", "count": 1, "macs": 1728} in facts["operators"]
    assert facts["manifest"] == json.loads(example_manifest().to_json())


def test_the_certificate_and_the_test_accuracy_are_printed():
    page = to_text(inspect_file(SHIPPED[0]))
    for name in ("training data  ", "test split     images ", "parity         images ", "onnxruntime "):
        assert name in page


def _with_training(path, record):
    text = json.dumps({**json.loads(example_manifest().to_json()), "training": record})
    model = onnx.load(path)
    helper.set_model_props(model, {MANIFEST_KEY: text})
    onnx.save(model, path)
    return inspect_file(path)


@pytest.mark.parametrize("odd", ["text", None, 3, {"test": "none"}, {"test": {"accuracy": "high"}}])
def test_odd_records_in_a_manifest_are_no_crash(float_onnx, odd):
    report = _with_training(float_onnx, odd)
    assert report.manifest_problem.startswith(SAYS["xray-infer-refuses-this"])
    assert report.manifest_problem.endswith("; export the model again")
    assert report.manifest_problem in to_text(report)


@pytest.mark.parametrize("little", [{}, {"test": {}}, {"test": {"accuracy": None}}, {"loss": "other"}])
def test_records_that_say_little_are_no_error(float_onnx, little):
    page = to_text(_with_training(float_onnx, little))
    assert "temperature    1" in page
    assert "test split" not in page


def test_a_refused_manifest_is_told_and_the_rest_is_printed(float_onnx):
    model = onnx.load(float_onnx)
    helper.set_model_props(model, {MANIFEST_KEY: '{"schema_version": 99}'})
    onnx.save(model, float_onnx)
    report = inspect_file(float_onnx)
    assert report.manifest is None
    assert report.manifest_problem.startswith(SAYS["xray-infer-refuses-this-file"])
    assert report.contents.macs() == {"float32": 1748}


def test_a_file_without_a_manifest_is_inspected_all_the_same(tmp_path):
    result = invoke(qdq_onnx(tmp_path / "q.onnx"))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == NO_MANIFEST
    assert "MACs int8" in result.stdout


def test_it_loads_neither_tensorflow_nor_a_runtime():
    heavy = ("tensorflow", "keras", "onnxruntime", "tf2onnx", "ai_edge_litert.interpreter")
    program = (
        "import sys\n"
        "from xray_infer.export.cli import main\n"
        "main(['inspect', '--help'], standalone_mode=False)\n"
        "assert 'onnx' not in sys.modules\n"
        "for path in sys.argv[1:]:\n"
        "    main(['inspect', path], standalone_mode=False)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    paths = [str(path) for path in SHIPPED[:2]]
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_missing_extra_names_the_pip_command(float_onnx, monkeypatch):
    for name in [name for name in sys.modules if name == "onnx" or name.startswith("onnx.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "xray_infer.export.inspection.onnx_file", raising=False)
    result = invoke(float_onnx)
    assert result.exit_code == 2
    assert result.stderr.endswith("pip install 'xray-infer[export]'\n")


def test_options_come_from_the_environment_too(float_onnx):
    result = CliRunner().invoke(main, ["inspect", str(float_onnx)], env={"XRAY_EXPORT_INSPECT_AS_JSON": "1"})
    assert json.loads(result.stdout)["format"] == "onnx"


def test_the_default_command_keeps_its_words_and_variables():
    """`xray-export MODEL`, `xray-export convert MODEL` and XRAY_EXPORT_*, as before there were commands."""
    environment = {"XRAY_EXPORT_DATA": "d", "XRAY_EXPORT_OUT": "o", "XRAY_EXPORT_RECIPES": "int3"}
    for arguments in (["m.keras"], ["convert", "m.keras"]):
        result = CliRunner().invoke(main, arguments, env=environment)
        assert result.exit_code == 2
        assert result.stderr.startswith(SAYS["xray-export-onnx-and"])


def test_the_descent_of_a_head_is_told():
    manifest = example_manifest(adaptation=example_adaptation())
    rows = dict(report_text._manifest(manifest))
    assert SAYS["fitted-to-40-films"] in rows["head"]
    assert rows["head"].endswith("the rest is parent.onnx, sha256 abababababab")
    assert not dict(report_text._manifest(example_manifest()))["head"]
