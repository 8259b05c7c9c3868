"""The package as a whole: what it loads, what it says of itself."""

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "onnxruntime", "ai_edge_litert", "tflite_runtime", "torch", "onnx", "tf2onnx")


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
        "from xray_infer.train.cli import main; main(['--help'])",
        "from xray_infer.train.cli import main; main(['fit', '--help'])",
        "from xray_infer.export.cli import main; main(['--help'])",
        "from xray_infer.benchmarks.cli import main; main(['--help'])",
    ],
)
def test_import_and_help_load_no_tensorflow_and_no_runtime(code):
    loaded = loaded_by(code)
    assert "sys" in loaded
    assert not loaded & set(HEAVY)


def test_the_core_imports_no_subpackage():
    """Arrows point only towards the core."""
    from pathlib import Path

    import xray_infer

    core = Path(xray_infer.__file__).parent
    for path in [*core.glob("*.py"), *(core / "runtimes").glob("*.py")]:
        text = path.read_text()
        for outer in ("train", "export", "benchmarks"):
            assert f"xray_infer.{outer}" not in text, path
