"""Speed: who runs beside whom, ratios that survive a drifting machine, intervals and warnings."""

import math

import numpy as np
import pytest
from approved import approved

from xray_infer.benchmarks.machine import EnergyMeter
from xray_infer.benchmarks.model_rows import baseline_of
from xray_infer.benchmarks.results_schema import (
    SCHEMA,
    Burst,
    CommandRun,
    LimitRun,
    Machine,
    ModelFile,
    ProcessRun,
    Results,
    RowKey,
    StageRun,
)
from xray_infer.benchmarks.speed.machine_limits import densenet121_gmac
from xray_infer.benchmarks.speed.presets import PRESETS
from xray_infer.benchmarks.speed.process_runs import plan
from xray_infer.benchmarks.speed.speed_figures import (
    baseline_ratio,
    command_rows,
    geometric,
    percentile,
    process_latency,
    process_rate,
    speed_rows,
    stage_rows,
)
from xray_infer.benchmarks.speed.stability import run_warnings

SAYS = approved("xray-bench")

RECIPES = ("fp32", "fp16", "int8-dynamic", "int8-static")
ROWS = [
    RowKey(method, "onnx", recipe, "onnxruntime")
    for method in ("feature_extraction", "fine_tuning")
    for recipe in RECIPES
]
BASE, FAST = ROWS[0], ROWS[3]


def a_process(row, turn, ms, *, number=0, rate=None, baseline=None, product=50.0, queries=200):
    rate = 2000 / float(np.median(ms)) if rate is None else rate
    return ProcessRun(
        row=row,
        round=number,
        turn=turn,
        baseline=row == BASE if baseline is None else baseline,
        load_s=0.2,
        first_result_s=0.5,
        single_stream_ms=[ms] * queries if np.isscalar(ms) else list(ms),
        offline=[Burst(1, round(rate), 1.0)],
        peak_mb=100.0,
        energy_j=None,
        energy_images=round(rate),
        product_gmac_s=product,
    )


def some_results(processes=(), *, load=0.0, **more):
    return Results(
        schema=SCHEMA,
        command=["xray-bench"],
        started="",
        seconds=0.0,
        version="0",
        options={},
        machine=Machine("cpu", [], 2, [0, 1], None, 1.0, "Linux", None, "unavailable", load, {}),
        gmac=2.0,
        models=[ModelFile(row, "file", "00", 1, 1.0, "") for row in ROWS],
        processes=list(processes),
        **more,
    )


def test_every_row_runs_between_two_baselines_of_its_method_in_every_round():
    turns = plan(ROWS, rounds=3, seed=0)
    assert [one.turn for one in turns] == list(range(len(turns)))
    for number in range(3):
        for method in ("feature_extraction", "fine_tuning"):
            some = [one for one in turns if one.round == number and one.row.method == method]
            assert [one.baseline for one in some] == [place % 2 == 0 for place in range(7)]
            assert all(one.row == baseline_of(one.row, ROWS) for one in some[::2])
            assert {one.row.recipe for one in some[1::2]} == {"fp16", "int8-dynamic", "int8-static"}
            assert [one.turn for one in some] == list(range(some[0].turn, some[0].turn + 7))
    orders = {tuple(one.row for one in turns if one.round == number) for number in range(3)}
    assert len(orders) > 1
    assert turns == plan(ROWS, rounds=3, seed=0)
    assert turns != plan(ROWS, rounds=3, seed=1)


def test_the_ratio_stands_while_the_machine_halves_its_speed():
    """Three times as fast, on a machine that slows down to half: by neighbours exact, by medians not."""
    processes = []
    for number in range(5):
        for place, row in enumerate((BASE, FAST, BASE)):
            turn = 3 * number + place
            slowness = 2 ** (turn / 14)
            processes.append(a_process(row, turn, (30 if row == BASE else 10) * slowness, number=number))
    for figure in (process_latency, process_rate):
        found = baseline_ratio(FAST, processes, figure)
        assert found.value == pytest.approx(3, rel=0.02)
        assert found.n == 5
        low, high = found.interval
        assert high - low < 0.3
    first_half = [one for one in processes if one.row == FAST][:1]
    last_base = [one for one in processes if one.row == BASE][-1:]
    naive = last_base[0].single_stream_ms[0] / first_half[0].single_stream_ms[0]
    assert naive > 5  # what a run of all of one and then all of the other would have said


def test_only_neighbours_of_the_same_round_and_method_count():
    other_method = RowKey("fine_tuning", "onnx", "fp32", "onnxruntime")
    processes = [
        a_process(BASE, 0, 40.0),
        a_process(FAST, 1, 10.0),
        a_process(other_method, 2, 1000.0, baseline=True),
        a_process(BASE, 3, 1000.0, number=1),
    ]
    assert baseline_ratio(FAST, processes, process_latency).value == pytest.approx(4)
    assert baseline_ratio(FAST, processes[1:], process_latency) is None
    assert baseline_ratio(BASE, processes, process_latency).value == 1


def test_the_interval_of_a_ratio_is_students():
    logs = [math.log(value) for value in (2.0, 2.2, 1.9, 2.1, 2.05)]
    from scipy import stats

    expected = stats.t.interval(0.95, 4, loc=np.mean(logs), scale=stats.sem(logs))
    assert geometric(logs).interval == pytest.approx(tuple(np.exp(expected)))
    assert geometric(logs[:1]).interval is None


def test_a_percentile_is_of_all_queries_and_its_interval_of_processes():
    generator = np.random.default_rng(0)
    # Processes differ by a tenth, queries within one by a hundredth: what counts is the process.
    covered = 0
    for _ in range(100):
        effects = 20 * np.exp(generator.normal(0, 0.1, 6))
        singles = [effect * (1 + generator.normal(0, 0.01, 300)) for effect in effects]
        found = percentile(singles, 50)
        assert found.value == pytest.approx(np.percentile(np.concatenate(singles), 50))
        covered += found.interval[0] <= 20 <= found.interval[1]
    assert covered >= 80  # six processes cover a little less than 95 of 100; queries as units would cover ten
    assert percentile(singles[:1], 50).interval is None


def test_a_rows_figures_are_those_of_its_samples():
    processes = [
        a_process(BASE, 0, 20.0, rate=50),
        a_process(FAST, 1, 5.0, rate=200),
        a_process(BASE, 2, 20.0, rate=50),
    ]
    limits = [LimitRun(0, 60.0, 500.0)]
    base, fast = speed_rows(some_results(processes, limits=limits))
    assert (fast.p50_ms.value, fast.queries, fast.processes) == (5.0, 200, 1)
    assert (fast.images_per_s.value, fast.batch) == (200, 1)
    assert fast.ratio.value == fast.latency_ratio.value == pytest.approx(4)
    assert fast.limit_share == pytest.approx(200 / (500 / 2.0))  # int8 by int8's limit
    assert base.limit_share == pytest.approx(50 / (60 / 2.0))
    assert base.ratio.value == 1
    assert fast.energy_j_per_image is None


def test_energy_is_per_image_where_every_process_could_read_it():
    from dataclasses import replace

    runs = [replace(a_process(FAST, turn, 5.0, rate=100), energy_j=50.0) for turn in (0, 1)]
    assert speed_rows(some_results(runs))[0].energy_j_per_image == pytest.approx(0.5)
    runs[1] = replace(runs[1], energy_j=None)
    assert speed_rows(some_results(runs))[0].energy_j_per_image is None


@pytest.mark.parametrize(
    ("processes", "words", "figure"),
    [
        ([a_process(FAST, turn, ms) for turn, ms in enumerate((10.0, 12.0, 10.0))], "latency varies", "11%"),
        (
            [a_process(FAST, turn, 10.0, rate=rate) for turn, rate in enumerate((100, 130, 100))],
            "throughput varies",
            "16%",
        ),
        ([a_process(FAST, 0, [10.0] * 300 + [90.0] * 10)], "p99 is more than 3 times p50", "9.0 times"),
        ([a_process(FAST, 0, 10.0, queries=20)], "p99 is of fewer than 300 queries", "20"),
    ],
)
def test_an_unstable_row_is_told_with_what_to_do(processes, words, figure):
    (row,) = speed_rows(some_results(processes))
    (doubt,) = [one for one in row.doubts if one.reason.startswith(words)]
    assert doubt.figure == figure
    assert ", so " in doubt.reason
    calm = [a_process(FAST, turn, 10.0) for turn in range(3)]
    assert speed_rows(some_results(calm))[0].doubts == ()


def test_a_restless_machine_is_told():
    calm = [a_process(FAST, turn, 10.0) for turn in range(4)]
    assert list(run_warnings(some_results(calm))) == []
    (load,) = run_warnings(some_results(calm, load=1.5))
    assert "load average was 1.5" in load
    drifting = [a_process(FAST, turn, 10.0, product=50.0 / (1 + turn)) for turn in range(4)]
    (speed,) = run_warnings(some_results(drifting))
    assert SAYS["the-machine-s-own-speed"] in speed


def test_stages_and_commands_are_medians_over_processes():
    stages = [
        StageRun(FAST, number, number, {"decode": [ms, ms + 2], "infer": [5.0, 7.0]})
        for number, ms in enumerate((1.0, 9.0, 3.0))
    ]
    commands = [
        CommandRun(FAST, number, number, 100, seconds, 200.0)
        for number, seconds in enumerate((2.0, 4.0, 1.0))
    ]
    found = some_results(stages=stages, commands=commands)
    (row,) = stage_rows(found)
    assert row.stages == {"decode": (4.0, 2.0, 10.0), "infer": (6.0, 6.0, 6.0)}
    assert (row.processes, row.images) == (3, 2)
    (command,) = command_rows(found)
    assert command.images_per_s == (50.0, 25.0, 100.0)


def test_energy_counters_are_summed_over_packages_and_may_start_again(tmp_path):
    assert EnergyMeter(tmp_path / "none").problem == "no RAPL counters"
    for name, value in (("intel-rapl:0", 900), ("intel-rapl:1", 100), ("intel-rapl:0:1", 5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{value}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("1000\n")
    meter = EnergyMeter(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("50\n")  # 150 on, over the end of its range
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("300\n")
    assert meter.joules() == pytest.approx(350e-6)
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("not a number")
    assert EnergyMeter(tmp_path).joules() is None


def test_the_presets_say_that_only_one_of_them_is_as_long_as_mlperf():
    assert [name for name, one in PRESETS.items() if one.seconds >= 600 and one.queries >= 1024] == ["mlperf"]


@pytest.mark.tensorflow
def test_the_multiply_accumulates_are_those_of_the_keras_model():
    keras = pytest.importorskip("keras")
    model = keras.applications.DenseNet121(weights=None, input_shape=(224, 224, 3), classes=3)
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    assert densenet121_gmac() == pytest.approx(total / 1e9, abs=1e-9)
