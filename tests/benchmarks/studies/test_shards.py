"""The benchmarks of shards: a simulation to work out by hand, and checks that find what is planted."""

from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner

from benchmarks.studies.shards.costs import plan, synthetic_objects
from benchmarks.studies.shards.engines import ENGINES, LOCAL_1, Times, engines_table
from benchmarks.studies.shards.fixtures import good_and_bad
from benchmarks.studies.shards.kills import Survived, _compared, kills_table
from benchmarks.studies.shards.objects import main
from benchmarks.studies.shards.simulation import ISOLATED, Cluster, growth_table, simulate
from xray_infer.run.shards.shard_inputs import to_line

EVEN = Cluster(images=8000, shard_size=1000, workers=4, image_s=0.036, spread=0.0)


def test_without_losses_a_run_takes_its_images_divided_by_its_workers():
    course = simulate(EVEN)
    assert course.hours == pytest.approx(2 * 1000 * 0.036 / 3600)
    assert course.worker_hours == pytest.approx(0.08)
    assert course.useful == pytest.approx(1)


def test_what_stops_a_run_from_scaling():
    assert simulate(replace(EVEN, workers=3)).hours == pytest.approx(
        3 * 36 / 3600
    )  # the last round is not full
    assert simulate(replace(EVEN, workers=100)).hours == pytest.approx(36 / 3600)  # fewer shards than workers
    assert simulate(replace(EVEN, plan_s=60, start_s=4)).hours == pytest.approx((60 + 4 + 72) / 3600)
    assert simulate(replace(EVEN, plan_s=60)).useful == pytest.approx(1)  # nobody waits for the plan
    # The one that plans hands out a shard in 20 s: the eighth is handed out at 140 s.
    assert simulate(replace(EVEN, hand_out_s=20)).hours == pytest.approx((140 + 36) / 3600)
    assert simulate(replace(EVEN, shard_s=4)).useful == pytest.approx(0.9)


def test_dead_workers_cost_what_they_had_begun_and_no_shard():
    often = replace(EVEN, images=800_000, deaths_an_hour=10.0)
    course = simulate(often)
    calm = simulate(replace(often, deaths_an_hour=0.0))
    assert course.deaths == pytest.approx(calm.worker_hours * 10, rel=0.25)
    # Half a shard is lost with each, and what follows is decoded in isolation.
    lost = course.deaths * (18 + 36 * (ISOLATED - 1)) / 3600
    assert course.worker_hours - calm.worker_hours == pytest.approx(lost, rel=0.3)
    assert simulate(often) == course


def test_the_table_has_a_row_for_each_number_of_workers():
    assert growth_table(EVEN, (1, 8)).splitlines()[2:] == [
        "| 1 | 0.08 | 0 | 100 | 28 | 0 |",
        "| 8 | 0.01 | 0 | 100 | 222 | 0 |",
    ]


def test_rows_that_are_lost_doubled_or_changed_are_found():
    rows = [b"path,label", b"a,covid", b"b,normal", b"c,normal"]

    def found(*given):
        one = _compared(rows, [rows[0], *given], ())
        return one.lost, one.doubled, one.other

    assert found(*rows[1:]) == (0, 0, 0)
    assert found(*rows[1:3]) == (1, 0, 0)
    assert found(*rows[1:], rows[1]) == (0, 1, 0)
    assert found(rows[1], b"b,covid", rows[3]) == (0, 0, 1)
    assert found(rows[2], rows[1], rows[3]) == (0, 0, 1)  # another order
    text = kills_table([Survived((("driver", 3), ("actor", 5)), 1, 2, 3), Survived((), 0, 0, 0)])
    assert text.splitlines()[-1] == "| all | 1 x driver, 1 x actor | 1 | 2 | 3 |"


def test_one_planted_input_in_ten_is_bad(folder):
    with good_and_bad(folder, 100, gone=True) as many:
        sizes = Counter(
            path.stat().st_size if path.exists() else None for path in many.rglob("*") if not path.is_dir()
        )
        assert sum(sizes.values()) == 100
        assert (sizes[None], sizes[0], sizes[13]) == (2, 2, 2)
        assert len(list(many.iterdir())) == 7


def test_overhead_is_beside_as_many_workers_round_by_round():
    times = {name: Times([10.0, 20.0], [1.0, 1.0]) for name in ENGINES}
    times["Ray, 1 actor"] = Times([18.0, 24.0], [4.0, 4.0])
    rows = {line.split(" | ")[0][2:]: line for line in engines_table(times, images=1000).splitlines()}
    assert rows[LOCAL_1].endswith("| 1.00 (1.00-1.00) | 1.0 | 0.00 (0.00-0.00) |")
    assert rows["Ray, 1 actor"].endswith("| 0.69 (0.56-0.83) | 4.0 | 3.00 (1.00-5.00) |")


def test_planning_a_made_up_listing_deals_all_of_it(tmp_path):
    plan(2500, tmp_path / "s")
    lines = [
        line for path in (tmp_path / "s" / "inputs").iterdir() for line in path.read_bytes().splitlines()
    ]
    expected = [to_line(number, item).strip() for number, item in enumerate(synthetic_objects(2500))]
    assert sorted(lines) == sorted(expected)
    assert len(list((tmp_path / "s" / "inputs").iterdir())) == 3


def test_objects_on_the_loopback_interface_get_a_row_each(tiny_onnx):
    pytest.importorskip("moto.server")
    given = ["--objects", "30", "--engine", "local", "--model", str(tiny_onnx), "--debug"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 0, result.stderr
    assert "| 30 | local | 30 | 30 | 3 | " in result.stdout
