"""xray-bench on a tiny model: real processes, what a killed run repeats, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from bench_results import left_out_domains, made_up
from click.testing import CliRunner
from specimens import example_manifest

from xray_infer.benchmarks.accuracy import answering
from xray_infer.benchmarks.accuracy.answering import answer_rows, read_external_images, read_test_images
from xray_infer.benchmarks.accuracy.shortcuts import probe, read_evidence
from xray_infer.benchmarks.cli import main
from xray_infer.benchmarks.model_rows import find_rows
from xray_infer.benchmarks.results_file import PartStore, read_results, write_results
from xray_infer.benchmarks.results_schema import ProcessRun
from xray_infer.benchmarks.speed import process_runs as measuring
from xray_infer.benchmarks.speed import worker
from xray_infer.benchmarks.speed.presets import Effort
from xray_infer.benchmarks.speed.process_runs import SpeedRequest, measure_speed
from xray_infer.benchmarks.speed.worker import InputFile, single_stream
from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.errors import DataError
from xray_infer.images.preprocess import STUDY, Preprocessing
from xray_infer.model.json_records import to_json
from xray_infer.model.runtimes import find_model
from xray_infer.study.datasets import LabelledImage

SAYS = approved("xray-bench")

SHORT = ("--rounds", "1", "--min-seconds", "0", "--min-queries", "2")
EFFORT = Effort(rounds=1, seconds=0.0, queries=2, most_seconds=1.0, warm_up=1)


def quiet(line: str) -> None:
    """Take a line of progress and say nothing."""


def bench(*arguments) -> object:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def quick_limits(monkeypatch):
    """Matrix products for a moment only."""
    from xray_infer.benchmarks.speed import machine_limits as limits

    monkeypatch.setattr(limits, "SECONDS", 0.02)


def test_a_whole_run_gives_every_row_every_figure(tiny_onnx, split_tree, tmp_path, quick_limits):
    out = tmp_path / "bench"
    done = bench("--models", tiny_onnx, "--data", split_tree, "--out", out, *SHORT)
    assert done.exit_code == 0, done.stderr
    found = read_results(out)
    keys = {row.key for row in find_rows([tiny_onnx])}
    test = read_test_images(split_tree, CLASS_NAMES)
    assert {one.row for one in found.answers} == keys
    assert {one.region for one in found.answers} == {"all", "border", "centre"}
    assert all(np.shape(one.probabilities) == (len(test.set.labels), 3) for one in found.answers)
    assert {one.row for one in found.processes} == keys
    for process in found.processes:
        assert len(process.single_stream_ms) >= 2
        assert min(process.single_stream_ms) > 0
        assert sum(burst.images for burst in process.offline) >= 2
        assert 0 < process.load_s < process.first_result_s
    assert {one.row for one in found.stages} == {one.row for one in found.commands} == keys
    for stage in found.stages:
        assert list(stage.stages) == ["decode", "preprocess", "infer", "heat map", "write"]
        assert all(len(values) == len(test.files) for values in stage.stages.values())
    turns = [one.turn for one in (*found.processes, *found.stages, *found.commands)]
    assert sorted(turns) == list(range(len(turns)))
    assert found.limits[0].int8 > 0
    assert found.peers == []
    assert found.command[0] == "xray-bench"
    for key in keys:
        assert f"| {key.format} | {key.recipe} | {key.runtime} |" in done.stdout
    assert RESEARCH_NOTICE in done.stdout
    for name in ("results.csv", "results.md", "results.html"):
        assert (out / name).stat().st_size > 100


def test_a_finished_run_measures_nothing_again(tiny_onnx, split_tree, tmp_path, quick_limits, monkeypatch):
    arguments = ("accuracy", "--models", tiny_onnx, "--data", split_tree, "--out", tmp_path / "bench")
    assert bench(*arguments).exit_code == 0
    monkeypatch.setattr(answering, "open_contender", lambda row: pytest.fail(f"opened {row.key.name}"))
    again = bench(*arguments)
    assert again.exit_code == 0, again.stderr


def test_a_killed_run_repeats_only_what_is_missing(
    tiny_onnx, split_tree, tmp_path, quick_limits, monkeypatch
):
    rows, images = find_rows([tiny_onnx]), read_test_images(split_tree, CLASS_NAMES)
    parts = PartStore(tmp_path, {})
    ran: list[int] = []
    really = measuring.run_worker

    def until_killed(request):
        if len(ran) == 1:
            raise KeyboardInterrupt
        ran.append(request.turn)
        return really(request)

    request = SpeedRequest(EFFORT, ("single",))
    monkeypatch.setattr(measuring, "run_worker", until_killed)
    with pytest.raises(KeyboardInterrupt):
        measure_speed(request, rows, images.inputs, parts, quiet)
    assert ran == [0]
    ran.append(-1)  # never the second again
    processes, limits = measure_speed(request, rows, images.inputs, parts, quiet)
    assert ran[2:] == list(range(1, len(processes)))
    assert [one.turn for one in processes] == list(range(len(processes)))
    assert len(limits) == 1


def test_every_row_gets_what_its_own_model_is_given(
    tiny_onnx, make_tiny_onnx, split_tree, tmp_path, quick_limits
):
    of_lungs = Preprocessing(2, 64)
    manifest = example_manifest(recipe="fp16", preprocessing_version=2, input_shape=of_lungs.shape)
    rows = find_rows([tiny_onnx, make_tiny_onnx(manifest)])
    assert {row.model.preprocessing for row in rows} == {STUDY, of_lungs}
    images, parts = read_test_images(split_tree, CLASS_NAMES), PartStore(tmp_path, {})
    answers = answer_rows(rows, [images], parts, quiet, controls=False)
    for row, answered in zip(rows, answers, strict=True):
        session = find_model(row.path).open(runtime=row.key.runtime)
        given = images.inputs(row.model.preprocessing)
        expected = np.concatenate([session.run(one[None]).probabilities for one in given])
        assert np.array(answered.probabilities) == pytest.approx(expected, abs=1e-6)
    measure_speed(SpeedRequest(EFFORT, ("single",)), rows, images.inputs, parts, quiet)
    stored = {path.name: np.load(path).shape for path in parts.folder.glob("inputs*.npy")}
    count = len(images.files)
    assert stored == {"inputs-1-224.npy": (count, 224, 224, 1), "inputs-2-64.npy": (count, 64, 64, 1)}


def test_answers_that_are_there_are_not_asked_for_again(tiny_onnx, split_tree, tmp_path, monkeypatch):
    row, images = find_rows([tiny_onnx])[0], read_test_images(split_tree, CLASS_NAMES)
    parts = PartStore(tmp_path, {})
    first = answer_rows([row], [images], parts, quiet)
    (parts.folder / f"answers_{row.key.name.replace('/', '_')}_test_border.json").unlink()
    asked: list[str] = []
    really = answering.keep_region
    monkeypatch.setattr(
        answering, "keep_region", lambda inputs, region: (asked.append(region), really(inputs, region))[1]
    )
    assert answer_rows([row], [images], parts, quiet) == first
    assert asked == ["border"]


def test_a_row_that_is_too_slow_keeps_its_accuracy_and_loses_the_controls(
    tiny_onnx, split_tree, tmp_path, monkeypatch
):
    row, images = find_rows([tiny_onnx])[0], read_test_images(split_tree, CLASS_NAMES)
    monkeypatch.setattr(answering, "MOST_SECONDS", 0.0)
    lines: list[str] = []
    found = answer_rows([row], [images], PartStore(tmp_path, {}), lines.append)
    assert [one.region for one in found] == ["all"]
    assert sum("left out" in line for line in lines) == 2


def test_images_from_elsewhere_are_a_set_of_their_own(tiny_onnx, split_tree, labelled_tree, tmp_path):
    row = find_rows([tiny_onnx])[0]
    elsewhere = read_external_images(labelled_tree, CLASS_NAMES)
    assert elsewhere.set.name == "external"
    assert len(elsewhere.set.labels) == 30  # all of them, whatever their split
    found = answer_rows(
        [row], [read_test_images(split_tree, CLASS_NAMES), elsewhere], PartStore(tmp_path, {}), quiet
    )
    assert [(one.images, one.region) for one in found] == [
        ("test", "all"),
        ("external", "all"),
        ("test", "border"),
        ("test", "centre"),
    ]


def test_every_query_takes_another_input(tmp_path):
    inputs = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 1)).astype(np.uint8)
    np.save(tmp_path / "inputs.npy", inputs)
    seen: list[bytes] = []
    file = InputFile(str(tmp_path / "inputs.npy"))
    taken = single_stream(lambda images: seen.append(images.tobytes()), file, Effort(1, 0.0, 7, 5.0))
    assert len(taken) == 7
    assert seen[:5] == [one.tobytes() for one in inputs]
    assert seen[5:] == seen[:2]
    assert np.array_equal(file.take(3), inputs[[2, 3, 4]])


def test_time_and_number_both_have_to_be_reached_and_time_bounds_the_number(tmp_path, monkeypatch):
    np.save(tmp_path / "inputs.npy", np.zeros((1, 224, 224, 1), np.uint8))
    now = [0.0]
    monkeypatch.setattr(worker.time, "perf_counter", lambda: now[0])

    def answer(images):
        now[0] += 1.0

    def count(effort):
        now[0] = 0.0
        return len(single_stream(answer, InputFile(str(tmp_path / "inputs.npy")), effort))

    assert count(Effort(1, seconds=5, queries=2, most_seconds=60)) == 5
    assert count(Effort(1, seconds=0, queries=9, most_seconds=60)) == 9
    assert count(Effort(1, seconds=0, queries=90, most_seconds=20)) == 20


def test_a_process_that_dies_names_the_row(tiny_onnx, split_tree, tmp_path, quick_limits):
    model = tmp_path / "model.onnx"
    model.write_bytes(tiny_onnx.read_bytes())
    rows, images = find_rows([model]), read_test_images(split_tree, CLASS_NAMES)
    model.write_bytes(b"no longer a model")
    with pytest.raises(DataError, match=SAYS["fine-tuning-onnx-fp"]):
        measure_speed(SpeedRequest(EFFORT, ("single",)), rows, images.inputs, PartStore(tmp_path, {}), quiet)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "empty", "--data", "{data}"), "no .keras, .onnx or .tflite models there"),
        (("--models", "gone.onnx", "--data", "{data}"), "cannot read the model file"),
        (("--models", "{model}", "--data", "nowhere"), "nowhere"),
        (("--models", "{model}", "--data", "{data}", "--external", "empty"), "empty"),
        (("--models", "{model}", "--data", "{data}", "--evidence", "empty"), "xray-train evidence writes it"),
        (("--models", "{model}", "--data", "{data}", "--folder", "empty", "--skip", "accuracy"), "no images"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    tiny_onnx, split_tree, tmp_path, monkeypatch, quick_limits, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    filled = [one.format(model=tiny_onnx, data=split_tree) for one in arguments]
    done = bench(*filled, "--out", "bench", *SHORT)
    assert done.exit_code == 2, done.output
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_another_request_in_the_same_folder_is_refused(tiny_onnx, split_tree, tmp_path):
    arguments = ("accuracy", "--models", tiny_onnx, "--data", split_tree, "--out", tmp_path / "bench")
    assert bench(*arguments).exit_code == 0
    other = bench(*arguments, "--seed", 1)
    assert other.exit_code == 2
    assert "give another --out" in other.stderr


def test_a_model_of_other_data_is_told(tiny_onnx, split_tree, tmp_path):
    done = bench("accuracy", "--models", tiny_onnx, "--data", split_tree, "--out", tmp_path / "bench")
    assert SAYS["was-trained-on-other"] in done.stderr


def labelled(sources: list[str], splits: list[str], labels: list[int]) -> list[LabelledImage]:
    return [
        LabelledImage(Path(f"{index}.png"), label, str(index), split, "", "", source)
        for index, (source, split, label) in enumerate(zip(sources, splits, labels, strict=True))
    ]


@pytest.mark.parametrize("planted", [True, False])
def test_the_probe_finds_a_source_that_the_features_hold_and_none_that_they_do_not(planted):
    generator = np.random.default_rng(0)
    count = 240
    numbers = generator.integers(0, 2, count)
    sources = [("here", "there")[number] for number in numbers]
    splits = [("train", "train", "val", "test")[index % 4] for index in range(count)]
    features = generator.normal(size=(count, 8)).astype(np.float32)
    if planted:
        features[:, 3] += 4 * numbers
    found = probe(
        "fine_tuning", features, labelled(sources, splits, [index % 3 for index in range(count)]), CLASS_NAMES
    )
    assert len(found.truth) == 60
    right = np.mean([mine == true for mine, true in zip(found.predicted, found.truth, strict=True)])
    assert set(found.within_class) == {"covid", "pneumonia", "normal"}
    inside = [accuracy for accuracy, _, _ in found.within_class.values()]
    if planted:
        assert right > 0.9
        assert min(inside) > 0.8
    else:
        assert right < 0.7


def test_a_class_of_one_source_has_no_probe_of_its_own():
    sources = ["here", "there"] * 40 + ["here"] * 40
    splits = [("train", "val", "test", "test")[index // 2 % 4] for index in range(120)]
    features = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    found = probe("fine_tuning", features, labelled(sources, splits, [0] * 80 + [1] * 40), CLASS_NAMES)
    assert set(found.within_class) == {"covid"}


def test_evidence_of_other_trainings_is_read(tmp_path):
    def record(accuracy):
        return {method: {"test": {"accuracy": accuracy}} for method in ("feature_extraction", "fine_tuning")}

    runs = {"group-seed-0": record(0.8), "group-seed-1": record(0.9), "random-seed-0": record(1.0)}
    (tmp_path / "evidence.json").write_text(json.dumps({"runs": {**runs, "border": record(0.5)}}))
    found = read_evidence(tmp_path, CLASS_NAMES).accuracies
    assert found["group"]["fine_tuning"] == [0.8, 0.9]
    assert (found["random"]["fine_tuning"], found["border"]["fine_tuning"]) == ([1.0], [0.5])
    assert found["centre"]["fine_tuning"] == []
    assert read_evidence(tmp_path, CLASS_NAMES).left_out is None  # of an earlier version
    (tmp_path / "evidence.json").write_text("[]")
    with pytest.raises(DataError, match="is no evidence"):
        read_evidence(tmp_path, CLASS_NAMES)


def test_evidence_of_left_out_domains_is_read_and_kept(tmp_path):
    left_out = left_out_domains()
    evidence = {"runs": {}, "yardsticks": [], "leave_one_domain_out": to_json(left_out)}
    (tmp_path / "evidence.json").write_text(json.dumps(evidence))
    found = read_evidence(tmp_path, CLASS_NAMES)
    assert found.left_out == left_out
    results = replace(made_up(), trained=found)
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path).trained == found
    (tmp_path / "evidence.json").write_text(json.dumps({**evidence, "leave_one_domain_out": {"methods": 1}}))
    with pytest.raises(DataError, match="is no evidence"):
        read_evidence(tmp_path, CLASS_NAMES)


def test_the_worker_is_a_process_of_its_own_and_speaks_json(tiny_onnx, split_tree, tmp_path):
    row, images = find_rows([tiny_onnx])[0], read_test_images(split_tree, CLASS_NAMES)
    np.save(tmp_path / "inputs.npy", images.inputs(STUDY))
    asked = worker.WorkerRequest(
        row.key, str(row.path), str(tmp_path / "inputs.npy"), ("offline",), EFFORT, 3, 2, 7, True, 0.0
    )
    found = measuring.run_worker(asked)
    assert isinstance(found, ProcessRun)
    assert (found.row, found.round, found.turn, found.baseline) == (row.key, 2, 7, True)
    assert found.single_stream_ms == []
    assert all(burst.images % 3 == 0 for burst in found.offline)
    assert found.peak_mb is None or found.peak_mb > 20
