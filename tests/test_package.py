"""The package as a whole: what it loads, what it says of itself."""

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner
from forgotten import forget_modules
from places import REPOSITORY, SAMPLES

import xray_infer

RUNTIMES = ("onnxruntime", "openvino", "ai_edge_litert", "tflite_runtime")
FOLDERS = ("infer", "train", "export", "benchmarks", "samples")
EXTRAS = ("pydicom", "pyarrow", "fsspec", "PySide6")
HEAVY = (*RUNTIMES, *EXTRAS, "tensorflow", "keras", "torch", "onnx", "ai_edge_quantizer")


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after `code`."""
    program = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()}


@pytest.mark.parametrize(
    "code",
    [
        "import xray_infer",
        "from xray_infer.cli import main; main(['--help'])",
        "import xray_infer.model.runtimes.fastest",
        "import xray_infer.classifier, xray_infer.run.job, xray_infer.run.sources.opening",
        "from xray_infer.cli import main; main(['--list-models'])",
        "from xray_infer.train.cli import main; main(['--help'])",
        "from xray_infer.train.cli import main; main(['fit', '--help'])",
        "from xray_infer.train.cli import main; main(['adapt', '--help'])",
        "import xray_infer.train.adapt.adapting",
        "from xray_infer.export.cli import main; main(['--help'])",
        "from xray_infer.benchmarks.cli import main; main(['--help'])",
        "from xray_infer.viewer.cli import main; main(['--help'])",
    ],
)
def test_import_and_help_load_no_tensorflow_and_no_runtime(code):
    loaded = loaded_by(code)
    assert "sys" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(
    ("absent", "arguments", "message"),
    [
        ("ai_edge_litert", ["SAMPLES", "--out", "r.csv", "--format", "tflite"], "[tflite]"),
        ("openvino", ["SAMPLES", "--out", "r.csv", "--runtime", "openvino"], "[openvino]"),
        ("keras", ["train", "DATA", "--out", "run", "--weights", "none"], "[train]"),
        ("torch", ["train", "pretrain", "x.zip", "--out", "run"], "[pretrain]"),
        ("onnx", ["train", "adapt", "DATA", "--out", "clinic.onnx"], "[adapt]"),
        ("ai_edge_litert", ["train", "adapt", "DATA", "--out", "clinic.tflite"], "[adapt]"),
        ("torch", ["train", "lungs", "fit", "x.csv", "--boxes", "b.csv", "--out", "o.npz"], "[lungs]"),
        ("onnx", ["export", "x.keras", "--data", "DATA", "--out", "run"], "[export]"),
        ("PySide6", ["viewer", "SAMPLES"], "[viewer]"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_the_pip_command(
    tmp_path, monkeypatch, absent, arguments, message
):
    monkeypatch.chdir(tmp_path)
    loaded = [name for name in sys.modules if name.startswith(f"{absent}.")]
    for name in (absent, "tflite_runtime", *loaded):
        monkeypatch.setitem(sys.modules, name, None)
    forget_modules(monkeypatch, "xray_infer.train.", "xray_infer.export.", "xray_infer.viewer.")
    part = arguments[0] if arguments[0] in ("train", "export", "viewer") else ""
    main = importlib.import_module(f"xray_infer{part and '.'}{part}.cli").main
    given = [argument.replace("SAMPLES", str(SAMPLES)) for argument in (arguments[1:] if part else arguments)]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"pip install 'xray-infer{message}'\n")
    assert result.stderr.count("\n") == 1


def test_two_onnxruntimes_or_half_of_one_are_told(monkeypatch):
    from xray_infer.errors import XrayError
    from xray_infer.model.runtimes import ort

    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [object()])
    with pytest.raises(XrayError, match="both installed and break each other: pip uninstall"):
        ort._import_onnxruntime()
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [])
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    with pytest.raises(XrayError, match="missing or broken"):
        ort._import_onnxruntime()


def test_the_core_imports_no_subpackage():
    """Arrows point only towards the core."""
    core = Path(xray_infer.__file__).parent
    assert (core / "cli.py").exists()
    for path in core.rglob("*.py"):
        text = path.read_text()
        for outer in ("train", "export", "benchmarks"):
            assert f"xray_infer.{outer}" not in text, path
        if core / "viewer" not in path.parents:
            assert "xray_infer.viewer" not in text, path


def test_the_viewer_has_no_engine_of_its_own():
    """What is said of an image comes from Classifier; of the engine the viewer takes its options alone."""
    sources = list((REPOSITORY / "infer" / "viewer").rglob("*.py"))
    assert len(sources) > 10
    for path in sources:
        lines = [line.strip() for line in path.read_text().splitlines() if "import " in line]
        for line in lines:
            assert not re.search(rf"\b({'|'.join(RUNTIMES)}|xray_infer\.model\.runtimes)\b", line), (
                path,
                line,
            )
            if "xray_infer.run.settings" in line or "xray_infer.run.engine" in line:
                assert line == "from xray_infer.run.settings import EngineOptions", path
    qt = [path for path in (REPOSITORY / "infer").rglob("*.py") if "PySide6" in path.read_text()]
    assert {path.parent.name for path in qt} == {"viewer"}


def test_openvino_is_imported_in_one_place():
    """Anywhere else its telemetry would come along."""
    plain = re.compile(r"^\s*(import|from) openvino\b", re.MULTILINE)
    sources = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    found = [path.relative_to(REPOSITORY).as_posix() for path in sources if plain.search(path.read_text())]
    assert found == ["infer/model/runtimes/ov.py"]


def test_the_main_job_leaves_nothing_but_its_results(tmp_path):
    """ONNX Runtime would keep a device id in the cache, and a file among the temporary ones."""
    folders = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR", "out")}
    for folder in folders.values():
        folder.mkdir()
    places = {name: str(folder) for name, folder in folders.items() if name != "out"}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    }
    command = [
        sys.executable,
        "-P",
        "-m",
        "xray_infer",
        SAMPLES,
        "--out",
        folders["out"] / "r.csv",
        "--quiet",
    ]
    subprocess.run([str(one) for one in command], env=inherited | places, check=True)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"out/r.csv", "out/r.csv.run.json"}
