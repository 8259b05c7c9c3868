"""--runtime auto: the fastest runtime is found by measuring, once, and remembered."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from places import SAMPLES
from specimens import example_manifest

from xray_infer.cli import main
from xray_infer.errors import MissingExtraError, XrayError
from xray_infer.model.manifest import METHODS
from xray_infer.model.runtime_table import RUNTIMES, Runtime
from xray_infer.model.runtimes import Model, fastest

SAYS = approved("xray-infer")


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The file that remembers, in a folder of the test's own."""
    path = tmp_path / "cache" / "xray-infer" / "runtime.json"
    monkeypatch.setattr(fastest, "cache_file", lambda: path)
    return path


@pytest.fixture
def measured(monkeypatch) -> list[list[str]]:
    """All runtimes seem installed; a measurement takes no time and is put on this list."""
    rates = {"onnxruntime": 50.0, "litert": 40.0, "openvino": 60.0}
    calls = []

    def measure(candidates, *, workers):
        calls.append([one.runtime for one in candidates])
        return {one.runtime: rates[one.runtime] for one in candidates}, []

    monkeypatch.setattr(fastest, "measure", measure)
    monkeypatch.setattr(Runtime, "installed", lambda runtime: f"{runtime.name} 1.0")
    return calls


def choose(models, workers=2) -> tuple[str, str]:
    """Return the name of the chosen runtime and what was said."""
    said: list[str] = []
    chosen = fastest.choose_fastest(models, workers=workers, report=said.append)
    (line,) = said
    return chosen.runtime, line


BOTH = [
    Model(Path("m.onnx"), "onnx", "digest of onnx"),
    Model(Path("m.tflite"), "tflite", "digest of tflite"),
]


def test_the_fastest_is_chosen_once_and_remembered(cache, measured):
    chosen, line = choose(BOTH)
    assert chosen == "openvino"
    assert measured == [["onnxruntime", "openvino", "litert"]]
    assert line == (SAYS["runtime-openvino-images-s"].format(cache=cache))
    chosen, line = choose(BOTH)
    assert chosen == "openvino"
    assert len(measured) == 1
    assert line.endswith(f"(measured earlier, kept in {cache})")
    assert list(cache.parent.iterdir()) == [cache]  # written whole, nothing beside it


def test_other_circumstances_are_measured_anew_and_kept_beside(cache, measured, monkeypatch):
    choose(BOTH)
    choose(BOTH, workers=3)
    choose(BOTH[:1])
    choose([Model(Path("m.onnx"), "onnx", "another digest"), BOTH[1]])
    monkeypatch.setattr(Runtime, "installed", lambda runtime: f"{runtime.name} 2.0")
    choose(BOTH)
    monkeypatch.setattr(fastest, "processor_name", lambda: "another processor")
    choose(BOTH)
    choose(BOTH)
    assert len(measured) == 6
    assert len(json.loads(cache.read_text())) == 6


def test_what_is_remembered_is_bounded(cache, measured):
    for workers in range(1, 30):
        choose(BOTH, workers)
    entries = json.loads(cache.read_text())
    assert [entry["facts"]["workers"] for entry in entries] == list(range(14, 30))


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[null, 3]",
        b"[" * 100_000,
        b'[{"facts": FACTS}]',
        b'[{"facts": FACTS, "images_per_s": 7}]',
        b'[{"facts": FACTS, "images_per_s": {"onnxruntime": 5.0}}]',
        b'[{"facts": FACTS, "images_per_s": {"onnxruntime": "a", "openvino": 1.0, "litert": 2.0}}]',
        b'[{"facts": FACTS, "images_per_s": {"onnxruntime": NaN, "openvino": 1.0, "litert": 2.0}}]',
    ],
)
def test_a_damaged_memory_is_measured_again(cache, measured, damage):
    choose(BOTH)
    facts = json.dumps(json.loads(cache.read_text())[0]["facts"]).encode()
    cache.write_bytes(damage.replace(b"FACTS", facts))
    assert choose(BOTH)[0] == "openvino"
    assert len(measured) == 2
    choose(BOTH)
    assert len(measured) == 2


def test_a_folder_that_cannot_be_written_is_said(cache, measured):
    cache.parent.parent.write_text("a file where the folder should be")
    for _ in range(2):
        chosen, line = choose(BOTH)
        assert chosen == "openvino"
        assert "measured now; not kept: " in line
    assert len(measured) == 2


def test_where_there_is_no_home_nothing_is_kept(measured, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert choose(BOTH)[0] == "openvino"
    assert "no home folder" in choose(BOTH)[1]


@pytest.mark.parametrize(
    ("system", "variables", "folder"),
    [
        ("linux", {}, ".cache"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache"),
        ("darwin", {}, "Library/Caches"),
        ("win32", {}, "AppData/Local"),
    ],
)
def test_the_memory_is_in_the_users_cache_folder(tmp_path, monkeypatch, system, variables, folder):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(fastest, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert fastest.cache_file() == tmp_path / folder / "xray-infer" / "runtime.json"


def test_with_one_runtime_there_is_nothing_to_measure(cache, measured, monkeypatch):
    monkeypatch.setattr(Runtime, "installed", lambda one: "x 1.0" if one.name == "onnxruntime" else "")
    assert choose(BOTH) == (
        "onnxruntime",
        SAYS["runtime-onnxruntime-the-only"],
    )
    monkeypatch.setattr(Runtime, "installed", lambda one: "")
    said: list[str] = []
    chosen = fastest.choose_fastest(BOTH[1:], workers=1, report=said.append)
    assert (chosen.runtime, said) == ("litert", [])  # opening it says what to install
    assert not measured
    assert not cache.exists()


class FakeSession:
    """Takes so many seconds of the fake clock for an image."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        self.clock, self.seconds, self.manifest = clock, seconds, example_manifest(input_shape=(96, 96, 1))

    def run(self, images: np.ndarray) -> None:
        assert images.shape == (1, 96, 96, 1)
        self.clock[0] += self.seconds


@pytest.fixture
def fake_sessions(monkeypatch) -> list[float]:
    """Sessions of known speed on a clock of their own, which is returned; openvino cannot be opened."""
    clock = [0.0]

    def open_many(model, count, *, runtime):
        if runtime == "openvino":
            raise MissingExtraError("this", "openvino")
        return [FakeSession(clock, {"onnxruntime": 0.02, "litert": 0.01}[runtime]) for _ in range(count)]

    monkeypatch.setattr(Model, "open_many", open_many)
    monkeypatch.setattr(fastest.time, "perf_counter", lambda: clock[0])
    return clock


def test_speed_is_the_median_of_a_bounded_number_of_rounds(fake_sessions):
    candidates = [
        fastest.RuntimeCandidate(BOTH[0], "onnxruntime"),
        fastest.RuntimeCandidate(BOTH[1], "litert"),
    ]
    rates, failures = fastest.measure(candidates, workers=1)
    assert rates == pytest.approx({"onnxruntime": 50, "litert": 100})
    assert failures == []
    # Warm-up and rounds of both.
    assert fake_sessions[0] == pytest.approx((1 + fastest.MOST_ROUNDS) * fastest.IMAGES * 0.03)


def test_a_slow_machine_is_measured_in_few_rounds(fake_sessions, monkeypatch):
    monkeypatch.setattr(fastest, "BUDGET_S", 0.01)
    fastest.measure([fastest.RuntimeCandidate(BOTH[0], "onnxruntime")], workers=1)
    assert fake_sessions[0] == pytest.approx((1 + fastest.LEAST_ROUNDS) * fastest.IMAGES * 0.02)


def test_a_runtime_that_cannot_be_opened_is_left_out_and_nothing_is_kept(cache, fake_sessions, monkeypatch):
    monkeypatch.setattr(Runtime, "installed", lambda runtime: f"{runtime.name} 1.0")
    chosen, line = choose(BOTH, workers=1)
    assert chosen == "litert"
    assert "pip install 'xray-infer[openvino]'" in line
    assert not cache.exists()
    with pytest.raises(XrayError):
        fastest.measure([fastest.RuntimeCandidate(BOTH[0], "openvino")], workers=1)


def test_auto_takes_all_shipped_formats_unless_one_is_asked_for(cache, measured, tiny_onnx, monkeypatch):
    asked = []

    def choose_fastest(models, *, workers, report):
        asked.append(([model.format for model in models], workers))
        report("chosen")
        return fastest.RuntimeCandidate(models[0], "onnxruntime")

    monkeypatch.setattr(fastest, "choose_fastest", choose_fastest)
    for options in ([], ["--format", "onnx"], ["--model", METHODS[0]], ["--model", tiny_onnx]):
        result = run(SAMPLES / "phantom_normal_1.png", "--runtime", "auto", "--workers", 3, *options)
        assert result.exit_code == 0, result.stderr
        assert result.stderr == "chosen\n"
    both = ["onnx", "tflite"]
    assert asked == [(both, 3), (["onnx"], 3), (both, 3), (["onnx"], 3)]


@pytest.mark.skipif(
    not all(runtime.installed() for runtime in RUNTIMES.values()), reason="not all runtimes are installed"
)
def test_auto_measures_for_real(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(fastest, "BUDGET_S", 0.0)
    monkeypatch.setattr(fastest, "IMAGES", 1)
    for said in ("measured now", "measured earlier"):
        result = run(SAMPLES, "--runtime", "auto", "--workers", 1, "--out", tmp_path / "r.csv")
        assert result.exit_code == 0, result.stderr
        assert said in result.stderr
        assert all(name in result.stderr for name in RUNTIMES)
    assert os.listdir(cache.parent) == [cache.name]
