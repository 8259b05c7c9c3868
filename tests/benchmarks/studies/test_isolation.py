"""The study of isolation: what it counts, and what it divides by what."""

from approved import approved
from click.testing import CliRunner

from benchmarks.studies.isolation import (
    DIRECT,
    ISOLATED,
    IsolationCost,
    _prepare_all,
    isolation_table,
    main,
)

SAYS = approved("xray-bench")


def test_isolation_counts_what_can_be_read(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no image")
    result = CliRunner().invoke(main, [str(folder), "--rounds", "2", "--threads", "1"])
    assert result.exit_code == 0, result.stderr
    assert SAYS["files-in-memory-threads"] in result.stdout
    assert result.stdout.count("| in child processes") == 2
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "broken.png").write_bytes(b"no image")
    result = CliRunner().invoke(main, [str(tmp_path / "none")])
    assert result.exit_code == 2
    assert SAYS["no-image-that-can"] in result.stderr


def test_each_way_prepares_every_file_once():
    done: list[bytes] = []
    files = [bytes([number]) for number in range(50)]
    _prepare_all(files, [done.append, done.append, done.append])
    assert sorted(done) == files


def test_the_rate_that_isolation_leaves_is_round_by_round():
    cost = IsolationCost(
        {DIRECT: [10.0, 20.0, 40.0], ISOLATED: [5.0, 15.0, 40.0]}, [0.25], {1.0: [2.0, 3.0, 9.0]}
    )
    assert f"| {ISOLATED} | 15.0 (5.0-40.0) | 0.75 (0.50-1.00) |" in isolation_table(cost)
    assert "| 1 | 3.00 (2.00-9.00) |" in isolation_table(cost)
