"""Shards that were damaged: a merge says so in one line, and the next run makes what is missing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sharded import infer, merged, plant

from xray_infer.cli import merge_command
from xray_infer.run.shards.shard_store import Shard

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")

ONE = Shard(1, 3)
PIECES = [ONE.rows("parquet"), ONE.inputs, ONE.counts, "run.json", "plan.json"]


@pytest.fixture
def run(tmp_path, xray, tiny_onnx):
    """Make three shards, again and again, of a folder without links to nothing."""
    films = plant(tmp_path / "films", xray, good=9)
    (films / "gone.png").unlink()

    def make(*options):
        return infer(films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--shard-size", 5, *options)

    assert make().exit_code == 1
    return make


def harm(path: Path, how: str) -> None:
    """Damage a file; its size stays what it was where that is possible."""
    data = path.read_bytes()
    if how == "noise":
        path.write_bytes(bytes((index * 89 + 7) % 256 for index in range(len(data))))
    elif how == "zeros":
        path.write_bytes(bytes(len(data)))
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(b'{"a": [1, 2]}')


@pytest.mark.parametrize("how", ["noise", "zeros", "empty", "json"])
@pytest.mark.parametrize("piece", PIECES)
def test_a_merge_of_damaged_pieces_is_one_line(run, tmp_path, piece, how):
    harm(tmp_path / "s" / piece, how)
    result = CliRunner().invoke(merge_command, [f"{tmp_path}/s", "--out", f"{tmp_path}/m.csv"])
    assert result.exit_code == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert not (tmp_path / "m.csv").exists()


@pytest.mark.parametrize("how", ["noise", "zeros", "empty", "json"])
@pytest.mark.parametrize("piece", [ONE.inputs, ONE.counts, "run.json"])
def test_the_next_run_mends_them(run, tmp_path, piece, how):
    expected = merged(tmp_path / "s", tmp_path / "m.csv")
    harm(tmp_path / "s" / piece, how)
    assert run().exit_code == 1
    assert merged(tmp_path / "s", tmp_path / "m.csv") == expected


def test_a_mark_of_an_attempt_that_is_no_number_counts_as_one(run, tmp_path):
    (tmp_path / "s" / ONE.counts).unlink()
    (tmp_path / "s" / ONE.attempt).write_bytes(b"\x00\xff")
    assert run().exit_code == 1
    assert json.loads((tmp_path / "s" / "run.json").read_text())["finished"] is True


@pytest.mark.parametrize("films", [None, 3, [], {}, {"depth": None, "whole": [2, "AAA"]}])
def test_counts_without_what_the_alarm_needs_are_made_again(run, tmp_path, films):
    path = tmp_path / "s" / ONE.counts
    before = json.loads(path.read_text())
    path.write_text(json.dumps({**before, "films": films}))
    assert run().exit_code == 1
    assert json.loads(path.read_text()) == before
