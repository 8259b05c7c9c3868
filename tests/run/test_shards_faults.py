"""Shards through kills, signals, full disks and harm: nothing lost, nothing doubled, one line each."""

import json
import os
import random
import shutil
import signal
import time

import pytest
from approved import approved
from click.testing import CliRunner
from full_disk import fill_disk
from sharded import infer, merged, poisoned, record_of, start
from specimens import png

from xray_infer.cli import merge_command
from xray_infer.errors import OutputError
from xray_infer.run.shards.shard_inputs import shard_of
from xray_infer.run.shards.shard_store import Shard, Store

SAYS = approved("xray-infer")

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize("harm", ["rows away", "rows cut", "counts away", "inputs away"])
def test_a_shard_that_was_harmed_is_made_again(shard, whole, read, tmp_path, harm):
    shard()
    read.clear()
    number = shard_of("film000.png", 8)
    one = Shard(number, 8)
    place = (
        tmp_path
        / "s"
        / (one.rows("parquet") if "rows" in harm else one.counts if "counts" in harm else one.inputs)
    )
    if "cut" in harm:
        place.write_bytes(place.read_bytes()[:-1])
    else:
        place.unlink()
    result = CliRunner().invoke(merge_command, [f"{tmp_path}/s", "--out", f"{tmp_path}/m.csv"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m.csv").exists()
    shard()
    expected = {shard_of("gone.png", 8), *([] if "inputs" in harm else [number])}
    assert {shard_of(name, 8) for name in read} == expected
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole


@pytest.mark.parametrize("text", ["{", "[1]", '{"plan": 9}', '{"plan": 1, "fingerprint": 5, "shards": 3}'])
def test_a_damaged_plan_is_one_line(shard, tmp_path, text):
    shard()
    (tmp_path / "s" / "plan.json").write_text(text)
    result = shard()
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "plan.json: " in result.stderr


def test_a_signal_ends_between_shards_and_the_next_run_goes_on(shard, whole, tmp_path, stop_after):
    read = stop_after(12)
    result = shard()
    assert result.exit_code == 130
    done = len(list((tmp_path / "s" / "counts").iterdir()))
    assert 0 < done < 8
    assert SAYS["of-shards-are-finished"].format(done=done, tmp_path=tmp_path) in (result.stderr)
    assert record_of(tmp_path / "s")["finished"] is False
    refused = CliRunner().invoke(merge_command, [f"{tmp_path}/s", "--out", f"{tmp_path}/m.csv"])
    assert SAYS["of-shards-were-finished"].format(done=done) in refused.stderr
    first = list(read)
    read.clear()
    assert shard().exit_code == 1
    assert not set(first) & (
        set(read) - {name for name in read if shard_of(name, 8) == shard_of("gone.png", 8)}
    )
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole


def test_a_run_that_is_killed_at_any_moment_loses_and_doubles_nothing(films, tiny_onnx, tmp_path):
    for number in range(120):
        shutil.copy(films / "film000.png", films / f"more{number}.png")
    infer(films, "--model", tiny_onnx, "--out", tmp_path / "whole.csv")
    arguments = (films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--shard-size", 2, "--quiet")
    chance, kills, pieces = random.Random(4), 0, -1
    for _ in range(8):
        process = start(*arguments)
        # From before the plan on: each time a few pieces later.
        wanted = pieces + chance.randrange(1, 60)
        while process.poll() is None and (pieces := len(list((tmp_path / "s").rglob("*.*")))) < wanted:
            time.sleep(0.002)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills > 2
    process = start(*arguments)
    told = process.communicate()[1]
    assert process.returncode == 1, told
    assert merged(tmp_path / "s", tmp_path / "m.csv") == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_an_input_that_kills_the_process_costs_its_row_on_the_next_try(films, tiny_onnx, tmp_path, xray):
    (films / "poison.png").write_bytes(png(xray) + b"POISON")
    arguments = (films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--shard-size", 4, "--quiet")
    path = poisoned(tmp_path)
    process = start(*arguments, PYTHONPATH=path)
    process.communicate()
    assert process.returncode == -signal.SIGSEGV
    assert [one.name for one in (tmp_path / "s" / "attempts").iterdir()] == [
        Shard(shard_of("poison.png", 8), 8).key
    ]
    process = start(*arguments, PYTHONPATH=path)
    told = process.communicate()[1]
    assert process.returncode == 1, told
    rows = merged(tmp_path / "s", tmp_path / "m.jsonl").decode().splitlines()
    found = {row["path"]: row["reason"] for row in map(json.loads, rows)}
    assert len(rows) == len(found) == 31
    assert found["poison.png"] == "the decoder crashed: SIGSEGV"
    assert not list((tmp_path / "s" / "attempts").iterdir())


def test_a_store_that_fails_leaves_nothing_half_and_is_told(shard, whole, tmp_path, monkeypatch):
    put = Store.put

    def fail_now_and_then(store, local, name):
        if name == Shard(3, 8).rows("parquet"):
            raise OutputError(f"{store.where(name)}: cannot be written: no room")
        put(store, local, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", fail_now_and_then)
        result = shard()
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last == (SAYS["xray-infer-of-shards"].format(tmp_path=tmp_path))
    assert len(list((tmp_path / "s").glob("rows-*"))) == 7
    assert shard().exit_code == 1
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole


def test_a_piece_is_whole_or_not_there(tmp_path, monkeypatch):
    store = Store(str(tmp_path / "s"))
    store.write("a/b.json", b"old")

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(store._files), "mv", fail)
        with pytest.raises(OutputError, match=SAYS["b-json-cannot-be"]):
            store.write("a/b.json", b"new")
    assert store.read("a/b.json") == b"old"
    assert os.listdir(tmp_path / "s" / "a") == ["b.json"]
    assert store.read("nothing") is None
    store.remove("nothing")


def test_a_worker_of_other_versions_is_refused(shard, tmp_path, monkeypatch):
    from xray_infer.run.shards import work

    really = work.fingerprint_of
    monkeypatch.setattr(
        work, "fingerprint_of", lambda *given: {**really(*given), "decoders": {"opencv": "1.0"}}
    )
    result = shard()
    assert result.exit_code == 2
    assert SAYS["a-worker-would-give"] in result.stderr
    assert not list((tmp_path / "s").glob("rows-*"))


def test_what_kills_its_workers_again_and_again_is_told(shard, films, tmp_path):
    os.remove(films / "gone.png")
    shard()
    place = tmp_path / "s" / "attempts" / Shard(3, 8).key
    (tmp_path / "s" / Shard(3, 8).counts).unlink()
    place.parent.mkdir(exist_ok=True)
    place.write_text("10")
    result = shard()
    assert result.exit_code == 2
    assert SAYS["inputs-of-jsonl-workers"] in result.stderr
    assert shard().exit_code == 1  # and the next run tries it again
    assert record_of(tmp_path / "s")["beside_the_rows"]["shards_finished"] == 8


@pytest.mark.parametrize("where", ["listing", "stretch-0", "m.csv.partial"])
def test_a_full_disk_is_one_line_that_says_what_to_do(shard, tmp_path, monkeypatch, where):
    if where == "listing":
        (tmp_path / "t").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
        fill_disk(monkeypatch, tmp_path / "t", names="listing", room=100)
        result, name = shard(), f"{tmp_path}/t: cannot hold the listing (TMPDIR names another)"
    else:
        shard()
        fill_disk(monkeypatch, tmp_path, names=where, room=100)
        result = CliRunner().invoke(merge_command, [f"{tmp_path}/s", "--out", f"{tmp_path}/m.csv"])
        name = f"{tmp_path}/m.csv"
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1, result.stderr
    assert name in result.stderr
    assert SAYS["no-space-left-on"] in result.stderr
    assert not list(tmp_path.glob("m.csv")) + list(tmp_path.glob(".xray-infer-*"))


def test_a_model_that_was_taken_away_is_put_there_again(shard, whole, tmp_path):
    shard()
    shutil.rmtree(tmp_path / "s" / "model")
    (tmp_path / "s" / Shard(2, 8).counts).unlink()
    assert shard().exit_code == 1
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole
