"""`xray-bench compare`: what it says of two results.json, and with which exit status."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from approved import approved

pytest.importorskip("msgspec")
pytest.importorskip("scipy")

from click.testing import CliRunner
from comparison_results import BASELINE, ROWS, World, answers, image_set, make_results

from xray_infer.benchmarks.cli import compare_command
from xray_infer.benchmarks.comparison.comparing import compare, differences, warnings
from xray_infer.benchmarks.comparison.comparison_page import page
from xray_infer.benchmarks.comparison.findings import (
    LARGER_FILE,
    LESS_ACCURATE,
    MORE_ACCURATE,
    NO_DIFFERENCE,
    NOT_TESTED,
    Criteria,
)
from xray_infer.benchmarks.results_file import write_results
from xray_infer.benchmarks.results_schema import Peer
from xray_infer.classes import RESEARCH_NOTICE

SAYS = approved("xray-bench")

SMALL = World(rows=ROWS[:5], queries=25)
IMAGES = image_set(200)


def with_answers(*given, sets=(IMAGES,), seed=0):
    """A small run with answers to image sets and no times."""
    empty = {"processes": [], "stages": [], "commands": [], "limits": [], "peers": [], "peer_runs": []}
    return make_results(replace(SMALL, seed=seed), sets=list(sets), answers=list(given), **empty)


def verdicts(found):
    return {(one.subject, one.measure): one.verdict for one in found.findings}


@pytest.fixture
def run(tmp_path):
    """Compare two results by the command itself."""

    def call(first, second, *options):
        paths = [tmp_path / name for name in ("before.json", "after.json")]
        for path, results in zip(paths, (first, second), strict=True):
            write_results(path, results)
        return CliRunner().invoke(compare_command, [*map(str, paths), *map(str, options)])

    return call


def test_nothing_changed_is_exit_status_0(run):
    before = make_results(SMALL)
    result = run(before, before)
    assert result.exit_code == 0, result.output
    first, *_ = result.stdout.splitlines()
    assert first.startswith(SAYS["slower-less-accurate-without"])
    assert "before.json" in result.stdout
    assert "after.json" in result.stdout
    assert result.stdout.rstrip().endswith(RESEARCH_NOTICE)
    assert "## Found" not in result.stdout
    assert "## Not the same" not in result.stdout


def test_a_slower_row_is_exit_status_1_and_its_name_comes_first(run, tmp_path):
    slow = replace(SMALL, seed=1, times={ROWS[1]: 1.3})
    out = tmp_path / "compared.json"
    result = run(make_results(SMALL), make_results(slow), "--json", out)
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("1 slower, 0 less accurate, ")
    found = result.stdout.split("## Found")[1].split("##")[0]
    assert f"- {ROWS[1].name}: slower, p50" in found
    told = json.loads(out.read_text())
    assert told["regressions"] > 0
    assert told["notice"] == RESEARCH_NOTICE
    assert {one["subject"] for one in told["findings"] if one["regression"]} == {ROWS[1].name}


def test_faster_is_no_regression(run):
    result = run(make_results(SMALL), make_results(replace(SMALL, seed=1, times={ROWS[1]: 0.7})))
    assert result.exit_code == 0, result.output
    assert "1 faster" in result.stdout.splitlines()[0]


def test_the_smallest_change_that_counts_can_be_chosen(run):
    slow = make_results(replace(SMALL, seed=1, times={ROWS[1]: 1.3}))
    assert run(make_results(SMALL), slow, "--smallest", "50%").exit_code == 0
    assert run(make_results(SMALL), slow, "--smallest", "0.1", "--family-error", "0.01").exit_code == 1


@pytest.mark.parametrize("wrong", ["0", "150%", "three"])
def test_a_wrong_share_is_refused(run, wrong):
    result = run(make_results(SMALL), make_results(SMALL), "--smallest", wrong)
    assert result.exit_code == 2
    assert "write 3% or 0.03" in result.stderr


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_an_unreadable_file_is_one_line(tmp_path, content):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    write_results(good, make_results(SMALL))
    if content is not None:
        bad.write_text(content)
    result = CliRunner().invoke(compare_command, [str(good), str(bad)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"xray-bench: {bad}: ")
    assert result.stderr.count("\n") == 1
    assert not result.stdout


def test_the_command_loads_nothing_heavy():
    code = (
        "import sys, xray_infer.benchmarks.cli\n"
        "print({'scipy', 'msgspec', 'tensorflow', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_fewer_right_on_the_same_images_is_less_accurate():
    found = compare(
        with_answers(answers(IMAGES, right=180)), with_answers(answers(IMAGES, right=160)), Criteria()
    )
    (one,) = found.answers
    assert one.verdict == LESS_ACCURATE
    assert (one.change.paired.only_first, one.change.paired.only_second) == (20, 0)
    assert one.change.difference == pytest.approx(-0.1)
    assert one.change.p_value == pytest.approx(2 / 2**20)
    assert found.regressions == 1
    assert "1 less accurate" in found.verdict
    assert "answers changed in 1" in found.verdict
    other_way = compare(
        with_answers(answers(IMAGES, right=160)), with_answers(answers(IMAGES, right=180)), Criteria()
    )
    assert other_way.answers[0].verdict == MORE_ACCURATE
    assert other_way.regressions == 0


def test_a_few_labels_are_changed_answers_but_no_difference_in_accuracy():
    found = compare(
        with_answers(answers(IMAGES, right=180)), with_answers(answers(IMAGES, right=177)), Criteria()
    )
    assert found.answers[0].verdict == NO_DIFFERENCE
    assert "answers changed in 1" in found.verdict
    assert "3 of 200 labels" in page(found)


def test_one_patient_with_many_images_is_no_evidence():
    """McNemar's test alone would call it: 20 images lost, all of one group."""
    one_patient = replace(IMAGES, groups=["" if index < 160 else "same" for index in range(200)])
    before, after = (
        with_answers(answers(one_patient, right=right), sets=[one_patient]) for right in (200, 160)
    )
    (one,) = compare(before, after, Criteria()).answers
    assert one.change.p_value < 1e-9
    assert not one.change.certain
    assert one.verdict == NO_DIFFERENCE


def test_control_regions_are_shown_and_not_tested():
    before, after = (with_answers(answers(IMAGES, right=right, region="border")) for right in (180, 100))
    (one,) = compare(before, after, Criteria()).answers
    assert (one.verdict, one.change.p_value, one.corrected) == (NOT_TESTED, None, None)


def test_accuracies_on_other_images_are_shown_and_not_tested():
    other = image_set(300, seed=1)
    before = with_answers(answers(IMAGES, right=190))
    after = with_answers(answers(other, right=200), sets=[other])
    found = compare(before, after, Criteria())
    (one,) = found.answers
    assert (one.change.paired, one.change.p_value, one.corrected) == (None, None, None)
    assert one.change.accuracy == (0.95, pytest.approx(2 / 3))
    assert one.verdict == NOT_TESTED
    assert "other images" in found.verdict
    assert found.differences == [SAYS["image-set-test-not"]]


def test_another_file_with_equal_answers_is_said():
    before = with_answers(answers(IMAGES, right=190))
    models = [replace(one, sha256="11", size_bytes=2 * one.size_bytes) for one in before.models]
    found = compare(before, replace(before, models=models), Criteria())
    assert found.answers[0].change.same_file is False
    assert found.answers[0].change.answers == "equal"
    assert "| equal | another |" in page(found)
    assert {one.verdict for one in found.files} == {LARGER_FILE}
    assert found.regressions == len(models)


def test_rounding_is_told_from_changed_answers():
    before = with_answers(answers(IMAGES, right=190))
    nearly = [[one + 1e-7, two - 1e-7, three] for one, two, three in before.answers[0].probabilities]
    found = compare(before, with_answers(replace(before.answers[0], probabilities=nearly)), Criteria())
    assert SAYS["answers-changed-in-equal"] in found.verdict
    assert found.answers[0].change.paired.max_dp == pytest.approx(1e-7)


def test_what_differs_around_the_measurement_is_said_first():
    before = make_results(SMALL)
    machine = replace(
        before.machine, processor="other", memory_mb=8001.0, flags=["avx512f"], versions={"onnxruntime": "2"}
    )
    after = replace(before, machine=machine, options={"rounds": 9}, version="1")
    assert differences(before, after) == [
        SAYS["not-the-same-machine"],
        SAYS["not-the-same-machine-processor"],
        "version of onnxruntime: 1.32, then 2",
        "xray-infer: 0, then 1",
        "option rounds: 5, then 9",
    ]
    text = page(compare(before, after, Criteria()))
    assert text.index("## Not the same") < text.index("## Latency")


def test_what_only_one_run_has_is_listed():
    before = make_results(SMALL)
    left = [run for run in before.processes if run.row != ROWS[2]]
    skipped = [Peer("timm", "PyTorch", "", "not installed")]
    found = compare(before, replace(before, processes=left, peer_runs=[], peers=skipped), Criteria())
    assert f"only in A: processes {ROWS[2].name}" in found.only_in_one
    assert SAYS["only-in-a-peer"] in found.only_in_one
    assert SAYS["peer-timm-was-skipped"] in found.only_in_one
    assert ROWS[2].name not in {one.subject for one in found.findings}


def test_a_busy_or_restless_machine_is_warned_of():
    before = make_results(SMALL)
    busy = make_results(replace(SMALL, process=0.4))
    busy = replace(busy, machine=replace(busy.machine, load_before=1.7))
    assert warnings(before, before) == []
    load, restless = warnings(before, busy)
    assert load == SAYS["b-a-load-of"]
    assert restless.startswith(SAYS["b-the-baseline-s"])


def test_a_baseline_that_became_faster_makes_no_row_slower():
    after = make_results(replace(SMALL, seed=1, times={BASELINE: 0.7}))
    found = compare(make_results(SMALL), after, Criteria())
    assert not found.regressions
    assert verdicts(found)[BASELINE.name, "p50"] == "faster"


def test_a_baseline_that_became_slower_is_found_beside_the_products():
    after = make_results(replace(SMALL, seed=1, times={BASELINE: 1.4}))
    found = compare(make_results(SMALL), after, Criteria())
    assert verdicts(found)[BASELINE.name, "p50"] == "slower"
    assert verdicts(found)[ROWS[0].name, "p50"] == NO_DIFFERENCE


def test_a_sleep_in_decode_is_found_on_a_slower_machine_and_nothing_else_is():
    after = replace(SMALL, seed=1, machine=1.5, extra_ms={"decode": 5.0})
    found = compare(make_results(SMALL), make_results(after), Criteria())
    assert {one.measure for one in found.findings if one.regression} == {"decode"}
    assert "the machine 1." in found.verdict


def test_without_products_times_are_compared_as_they_are():
    def bare(seed, factor):
        results = make_results(replace(SMALL, seed=seed, machine=factor))
        return replace(results, processes=[], limits=[])

    found = compare(bare(0, 1.0), bare(1, 1.5), Criteria())
    assert SAYS["the-machine-s-own"] in found.verdict
    assert verdicts(found)[BASELINE.name, "infer"] == "slower"
    assert {one.against for one in found.findings} == {"nothing"}


def test_limits_stand_in_for_products():
    first, second = (
        replace(make_results(replace(SMALL, seed=seed, machine=factor, drift=0.0)), processes=[])
        for seed, factor in ((0, 1.0), (1, 1.5))
    )
    found = compare(first, second, Criteria())
    assert not found.regressions
    assert found.machine_verdict.endswith("times slower")


def test_a_weak_quantile_and_another_folder_are_not_tested():
    before = make_results(SMALL)
    commands = [replace(one, images=50) for one in before.commands]
    stages = [
        replace(one, stages={name: times[:7] for name, times in one.stages.items()}) for one in before.stages
    ]
    found = compare(before, replace(before, commands=commands, stages=stages), Criteria())
    notes = {(one.measure, one.note) for one in found.findings if one.verdict == NOT_TESTED}
    assert ("p99", SAYS["weak-queries-a-process"]) in notes
    assert ("images/s", "other folders: 100 and 50 images") in notes
    assert ("decode", "other files: 20 and 7") in notes


def test_one_round_is_no_test():
    once = make_results(replace(SMALL, rounds=1, queries=2000))
    found = compare(once, once, Criteria())
    assert {one.verdict for one in found.findings} == {NOT_TESTED}
    assert "0 without a difference found" in found.verdict


def test_more_memory_is_found_and_a_peers_time_fails_nothing():
    before = make_results(SMALL)
    hungry = [replace(run, peak_mb=1.2 * run.peak_mb) for run in before.processes]
    slower = [
        replace(run, seconds=2 * run.seconds) if run.peer == "plain Keras" else run
        for run in before.peer_runs
    ]
    found = compare(before, replace(before, peer_runs=slower), Criteria())
    assert verdicts(found)["plain Keras", "images/s"] == "slower"
    assert found.regressions == 0
    found = compare(before, replace(before, processes=hungry), Criteria())
    assert {one.verdict for one in found.findings if one.regression} == {"larger"}
