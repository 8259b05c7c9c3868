"""The runtimes: the same answers from one file, the right one chosen, refusals in one line."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from places import SAMPLES
from specimens import example_manifest

from xray_infer import cli
from xray_infer.errors import ModelError
from xray_infer.images.decode import decode
from xray_infer.model.choice import shipped_model
from xray_infer.model.embedding import READERS
from xray_infer.model.manifest import METHODS
from xray_infer.model.runtime_table import RUNTIMES, SUFFIXES
from xray_infer.model.runtimes import Model, find_model

SAYS = approved("xray-infer")

FILMS = sorted(SAMPLES.glob("phantom_*"))

needs_openvino = pytest.mark.skipif(
    not RUNTIMES["openvino"].installed(), reason="the extra [openvino] is not installed"
)


def run(*arguments: object):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


@needs_openvino
@pytest.mark.parametrize("images", [1, 3, 4, 5])
def test_openvino_answers_as_onnxruntime_does(tiny_onnx, images):
    model = find_model(tiny_onnx)
    batch = np.random.default_rng(3).integers(0, 256, (images, 224, 224, 1), dtype=np.uint8)
    first, second = (model.open(runtime=name).run(batch) for name in ("onnxruntime", "openvino"))
    for output in ("probabilities", "cam"):
        given, expected = getattr(second, output), getattr(first, output)
        assert given.shape == expected.shape
        assert given.dtype == np.float32
        assert given == pytest.approx(expected, abs=1e-5)


@needs_openvino
def test_openvino_keeps_no_answer_of_an_earlier_batch(tiny_onnx):
    """Outputs are views of OpenVINO's memory until they are copied."""
    session = find_model(tiny_onnx).open(runtime="openvino")
    black, white = (np.full((2, 224, 224, 1), value, np.uint8) for value in (0, 255))
    before = session.run(black)
    kept = before.probabilities.copy(), before.cam.copy()
    session.run(white)
    assert (before.probabilities == kept[0]).all()
    assert (before.cam == kept[1]).all()


@needs_openvino
@pytest.mark.parametrize("method", METHODS)
def test_openvino_agrees_on_the_shipped_int8_model(method):
    model = shipped_model("onnx", method)
    made = model.open().manifest.preprocessing
    films = np.stack([made(decode(path.read_bytes(), side=made.decode_side)).pixels for path in FILMS])
    first, second = (model.open(runtime=name).run(films) for name in ("onnxruntime", "openvino"))
    assert (first.probabilities.argmax(axis=1) == second.probabilities.argmax(axis=1)).all()
    assert second.probabilities == pytest.approx(first.probabilities, abs=0.05)
    assert second.ood_score == pytest.approx(first.ood_score, rel=0.1)


@needs_openvino
def test_openvino_reports_to_nobody(tiny_onnx, tmp_path):
    """Left to itself it sends an event to Google Analytics at every import; ~/intel keeps who it was."""
    program = f"""
import sys
from pathlib import Path
from xray_infer.model.runtimes import find_model
find_model(Path({str(tiny_onnx)!r})).open(runtime="openvino")
import openvino
print([name for name in sys.modules if name.startswith("openvino_telemetry")])
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD")}
    environment |= {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert not list(tmp_path.iterdir())


@needs_openvino
def test_the_rows_say_which_runtime_answered(tiny_onnx, tmp_path):
    for name in ("onnxruntime", "openvino"):
        out = tmp_path / f"{name}.csv"
        result = run(SAMPLES, "--model", tiny_onnx, "--runtime", name, "--out", out)
        assert result.exit_code == 0, result.stderr
        with out.open(newline="") as stream:
            assert {row["runtime"] for row in csv.DictReader(stream)} == {RUNTIMES[name].installed()}


def test_the_command_offers_every_runtime():
    (option,) = (one for one in cli.main.params if one.name == "runtime")
    assert list(option.type.choices) == [*RUNTIMES, "auto"]


def test_a_formats_default_comes_first():
    defaults = {one: Model(Path("m"), one, "").runtimes()[0].name for one in SUFFIXES.values()}
    assert defaults == {"onnx": "onnxruntime", "tflite": "litert"}
    assert READERS.keys() == defaults.keys()


@pytest.mark.parametrize("name", ["litert", "tensorrt"])
def test_a_runtime_that_does_not_read_the_file_is_refused(tiny_onnx, name):
    with pytest.raises(ModelError, match=SAYS["does-not-read-this"].format(name=name)):
        find_model(tiny_onnx).open(runtime=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--runtime", "litert", "--format", "onnx"],
            "--format onnx and --runtime litert (reads tflite) contradict each other",
        ),
        (
            ["--runtime", "openvino", "--format", "tflite"],
            "--format tflite and --runtime openvino (reads onnx) contradict each other",
        ),
        (
            ["--runtime", "litert", "--model", "tiny.onnx"],
            "--runtime litert (reads tflite) and --model tiny.onnx contradict each other",
        ),
        (
            ["--runtime", "auto", "--format", "tflite", "--model", "tiny.onnx"],
            "--format tflite and --model tiny.onnx contradict each other",
        ),
    ],
)
def test_options_that_contradict_each_other_are_named(tiny_onnx, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.onnx").symlink_to(tiny_onnx)
    result = run(FILMS[0], *options)
    assert result.exit_code == 2
    assert result.stderr == f"xray-infer: {message}\n"


def test_a_broken_graph_is_one_line_in_every_runtime(make_tiny_onnx, tmp_path):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(make_tiny_onnx(example_manifest()))
    proto.graph.node[3].op_type = "NoSuchOperator"
    path = tmp_path / "broken.onnx"
    onnx.save(proto, path)
    model = find_model(path)
    for runtime in model.runtimes():
        if runtime.installed():
            with pytest.raises(ModelError, match=SAYS["broken-onnx-cannot-load"]) as caught:
                model.open(runtime=runtime.name)
            assert "\n" not in str(caught.value)


AFTER_OPENVINO = """
import gc, os, signal, sys
from pathlib import Path
from xray_infer.model.runtimes import find_model

model = find_model(Path(sys.argv[1]))
first, second = model.open(runtime="openvino"), model.open_many(2, runtime="openvino")
del first
gc.collect()
del second
gc.collect()
seen = []
signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
os.kill(os.getpid(), signal.SIGINT)
print(len(seen))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX signals")
def test_a_signal_after_openvino_is_no_crash(tiny_onnx):
    """Two Cores that were let go of left Python a signal stack that was unmapped."""
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", AFTER_OPENVINO, str(tiny_onnx)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
