"""Peers: who runs and who is skipped, equal work, memory of all processes, ratios round by round."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from approved import approved

from xray_infer.benchmarks.model_rows import find_rows
from xray_infer.benchmarks.peers import runner
from xray_infer.benchmarks.peers.registry import PEERS, SHIPPED
from xray_infer.benchmarks.peers.runner import _run_tree, compare_answers, measure_peers, read_answers
from xray_infer.benchmarks.reporting.bench_figures import peer_figures
from xray_infer.benchmarks.results_file import PartStore
from xray_infer.benchmarks.results_schema import (
    SCHEMA,
    Machine,
    ModelFile,
    Peer,
    PeerRun,
    Results,
    RowKey,
)
from xray_infer.errors import DataError, SourceError

SAYS = approved("xray-bench")

PROC = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc"
)


def quiet(line: str) -> None:
    """Take a line of progress and say nothing."""


def named(*names: str):
    return tuple(one for one in PEERS if one.name in names)


def test_a_peer_without_its_file_or_package_is_skipped_with_the_reason(tiny_onnx):
    rows = find_rows([tiny_onnx])
    reasons = {one.name: one.obstacle(rows) for one in PEERS}
    assert reasons[SAYS["keras-one-at-a"]] in (
        SAYS["no-fine-tuning-keras"],
        "keras not installed",
    )
    assert reasons["xray-infer, fp32"] == ""
    absent = replace(PEERS[0], packages=("no_such_package",))
    assert absent.obstacle(rows) == SAYS["no-such-package-not"]


def test_every_script_is_a_module_that_exists():
    for one in PEERS:
        assert not one.script or importlib.util.find_spec(one.module) is not None
        if one.script and not one.module.endswith("torch_scripts"):  # that needs PyTorch
            assert one.script_name in importlib.import_module(one.module).SCRIPTS
    assert SHIPPED in {one.name for one in PEERS}
    assert len({one.name for one in PEERS}) == len(PEERS)


def test_peers_run_in_turn_and_answer_the_same_images(tiny_onnx, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "PEERS", named("xray-infer, fp32", "ONNX Runtime in a loop"))
    parts = PartStore(tmp_path, {})
    (folder / "notes.txt").unlink()
    peers, runs = measure_peers(find_rows([tiny_onnx]), folder, parts, rounds=2, first_turn=5, report=quiet)
    assert [one.skipped for one in peers] == ["", ""]
    assert [(one.peer, one.round, one.turn) for one in runs] == [
        ("xray-infer, fp32", 0, 5),
        (SAYS["onnx-runtime-in-a"], 0, 6),
        ("xray-infer, fp32", 1, 7),
        (SAYS["onnx-runtime-in-a"], 1, 8),
    ]
    for one in runs:
        assert one.images == 6
        assert 0 < one.start_s < one.seconds
        assert one.steady_images_per_s > one.images / one.seconds
    # Films of the same name stand in two folders; what is compared is told by the file's name.
    assert SAYS["the-label-of-xray"] in peers[1].checks["answers"]
    assert tiny_onnx.name in peers[1].checks["file"]


def test_a_killed_run_of_peers_repeats_only_what_is_missing(tiny_onnx, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "PEERS", named("xray-infer, fp32"))
    rows, parts = find_rows([tiny_onnx]), PartStore(tmp_path, {})
    first = measure_peers(rows, folder, parts, rounds=2, report=quiet)
    monkeypatch.setattr(runner, "_run", lambda *asked: pytest.fail("ran again"))
    assert measure_peers(rows, folder, parts, rounds=2, report=quiet) == first


def test_a_peer_that_fails_costs_no_other_its_place(tiny_onnx, folder, tmp_path, monkeypatch):
    broken = replace(
        named("ONNX Runtime in a loop")[0], name="broken", script="runtime_scripts.no_such_script"
    )
    monkeypatch.setattr(runner, "PEERS", (broken, *named("xray-infer, fp32")))
    lines: list[str] = []
    peers, runs = measure_peers(
        find_rows([tiny_onnx]), folder, PartStore(tmp_path, {}), rounds=1, report=lines.append
    )
    assert "no_such_script" in peers[0].skipped
    assert any(line.startswith(SAYS["broken-skipped-ended-with"]) for line in lines)
    assert [one.peer for one in runs] == ["xray-infer, fp32"]


def test_a_folder_without_images_is_refused(tiny_onnx, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceError, match="no images"):
        measure_peers(
            find_rows([tiny_onnx]), tmp_path / "none", PartStore(tmp_path, {}), rounds=1, report=quiet
        )


def test_answers_are_compared_by_label_and_by_probability(tmp_path):
    ours = tmp_path / "ours.csv"
    ours.write_text(
        "path,status,label,prob_covid,prob_pneumonia,prob_normal\n"
        "a.png,ok,covid,0.7,0.2,0.1\nsub/b.png,ok,normal,0.1,0.2,0.7\nc.png,error,,,,\n"
    )
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("a.png,covid,0.6,0.3,0.1\nb.png,covid,0.5,0.1,0.4\nc.png,covid,0.9,0.1,0.0\n")
    assert set(read_answers(ours)) == {"a.png", "b.png"}
    words = compare_answers(read_answers(theirs), read_answers(ours))
    assert words == SAYS["the-label-of-xray-infer"]
    assert compare_answers({}, read_answers(ours)) == SAYS["no-image-has-an"]


@PROC
def test_memory_is_that_of_all_processes():
    child = "import time; held = bytearray(120_000_000); time.sleep(1.0)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert _run_tree([sys.executable, "-c", parent]).peak_mb > 110
    assert _run_tree([sys.executable, "-c", "import time; time.sleep(0.3)"]).peak_mb < 60


def test_a_failing_command_says_its_last_line():
    with pytest.raises(DataError, match="ended with status 4: oh"):
        _run_tree([sys.executable, "-c", "import sys; print('oh', file=sys.stderr); sys.exit(4)"])
    assert _run_tree([sys.executable, "-c", "raise SystemExit(1)"], accepted=(0, 1)).seconds > 0


def test_ours_is_compared_round_by_round():
    def run(peer, number, seconds):
        return PeerRun(peer, number, number, 100, seconds, 1.0, 99 / (seconds - 1.0), 300.0)

    runs = []
    for number, slowness in enumerate((1.0, 2.0, 1.5)):  # the machine slows down and recovers
        runs += [run(SHIPPED, number, 10 * slowness), run("slow", number, 30 * slowness)]
    row = RowKey("fine_tuning", "onnx", "int8-static", "onnxruntime")
    results = Results(
        schema=SCHEMA,
        command=[],
        started="",
        seconds=0.0,
        version="0",
        options={},
        machine=Machine("cpu", [], 2, [0, 1], None, 1.0, "Linux", None, "unavailable", 0.0, {}),
        gmac=2.8,
        models=[ModelFile(row, "file", "00", 1, 1.0, "")],
        peers=[Peer(SHIPPED, "ours", "", ""), Peer("slow", "a loop", "", ""), Peer("gone", "", "", "absent")],
        peer_runs=runs,
    )
    ours, slow = peer_figures(results)
    assert ours.ours is None
    assert slow.ours.value == pytest.approx(3)
    assert slow.ours.interval == pytest.approx((3, 3))
    assert slow.images_per_s == pytest.approx((100 / 45, 100 / 60, 100 / 30))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("script", "packages", "most"),
    [("timm_densenet", ("timm",), 1e-4), ("torchxrayvision_densenet", ("torchxrayvision",), 0.05)],
)
def test_the_weights_of_keras_give_its_answers_in_pytorch(script, packages, most, tmp_path):
    """In a process of its own: TensorFlow, which other tests load, and PyTorch crash in one."""
    for package in ("torch", "keras", *packages):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the extra [peers] is not installed: no {package}")
    code = f"""
import os
os.environ["KERAS_BACKEND"] = "torch"
import sys
import numpy as np
from pathlib import Path
from xray_infer.benchmarks.peers.torch_scripts import convert
from xray_infer.train.network import build_classifier
folder = Path(sys.argv[1])
build_classifier("none", classes=3, seed=3).save(folder / "model.keras")
rough = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 1)).astype(np.uint8)
found = convert(folder / "model.keras", "{script}", folder / "weights.pt", rough)
print(found.max_dp, found.parameters, found.keras_parameters)
"""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    max_dp, parameters, expected = map(float, done.stdout.split()[-3:])
    assert max_dp < most
    assert parameters == expected - (0 if script == "timm_densenet" else 2 * 49 * 64)
    assert np.isfinite(max_dp)
