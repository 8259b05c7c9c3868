"""Shards by the local engine: the rows of one file, finished ones skipped, nothing lost, nothing doubled."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from approved import approved
from click.testing import CliRunner
from sharded import infer, merged
from specimens import png

from xray_infer.cli import merge_command
from xray_infer.errors import SourceError
from xray_infer.run.shards import FORMATS, merging
from xray_infer.run.shards import shard_inputs as inputs_module
from xray_infer.run.shards.shard_inputs import deal, shard_of, to_line
from xray_infer.run.shards.shard_store import Shard
from xray_infer.run.sources.folder import FileItem
from xray_infer.run.sources.remote import UriItem

SAYS = approved("xray-infer")

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_merged_shards_are_the_file_that_a_plain_run_writes(films, shard, tiny_onnx, tmp_path, form, suffix):
    plain = tmp_path / f"plain{suffix}"
    assert infer(films, "--model", tiny_onnx, "--out", plain).exit_code == 1
    result = shard("--shard-format", form)
    assert result.exit_code == 1, result.stderr
    assert "30 images in " in result.stderr
    assert SAYS["results-shards-in-s"].format(tmp_path=tmp_path) in result.stderr
    out = tmp_path / f"merged{suffix}"
    both = merged(tmp_path / "s", out), plain.read_bytes()
    if suffix == ".parquet":  # which names its writer's moment nowhere, but is compressed in groups
        import pyarrow.parquet

        assert pyarrow.parquet.read_table(out).equals(pyarrow.parquet.read_table(plain))
    else:
        assert both[0] == both[1]
    record = json.loads(out.with_name(f"{out.name}.run.json").read_text())
    assert (record["results"], record["counts"]["images"], record["finished"]) == (out.name, 30, True)
    assert record["beside_the_rows"] == {"shards": 8, "shards_finished": 8}


def test_every_shard_holds_the_inputs_that_its_hash_says(shard, tmp_path):
    shard("--shard-format", "jsonl")
    files = sorted((tmp_path / "s").glob("rows-*.jsonl"))
    assert [path.name for path in files] == [f"rows-{number:05}-of-00008.jsonl" for number in range(8)]
    assert not list((tmp_path / "s" / "attempts").iterdir())
    for number in range(8):
        for line in (tmp_path / "s" / Shard(number, 8).inputs).read_bytes().splitlines():
            assert shard_of(json.loads(line)[1], 8) == number


def test_the_hash_is_the_same_on_every_machine():
    assert [shard_of(name, 1000) for name in ("a.png", "é.png", "\udce9.png")] == [982, 990, 749]


def test_a_finished_run_reads_again_only_what_could_not_be_read(films, shard, whole, read, tmp_path):
    shard()
    assert len(read) == 30
    read.clear()
    result = shard()
    again = shard_of("gone.png", 8)
    assert {shard_of(name, 8) for name in read} == {again}
    assert SAYS["rows-are-from-an-earlier-run"].format(value=30 - len(read)) in result.stderr
    os.remove(films / "gone.png")
    shutil.copy(films / "film000.png", films / "gone.png")
    read.clear()
    assert shard().exit_code == 1
    assert {shard_of(name, 8) for name in read} == {again}
    read.clear()
    shard()
    assert read == []
    assert merged(tmp_path / "s", tmp_path / "m.csv") != whole


def test_what_changed_came_or_went_costs_its_shard(films, shard, tiny_onnx, read, tmp_path, xray):
    os.remove(films / "gone.png")
    shard()
    read.clear()
    (films / "film003.png").write_bytes(png(255 - xray))
    (films / "new.png").write_bytes(png(xray))
    os.remove(films / "text.png")
    shard()
    assert {shard_of(name, 8) for name in read} == {
        shard_of(name, 8) for name in ("film003.png", "new.png", "text.png")
    }
    assert infer(films, "--model", tiny_onnx, "--out", tmp_path / "now.csv").exit_code == 1
    assert merged(tmp_path / "s", tmp_path / "m.csv") == (tmp_path / "now.csv").read_bytes()


def test_another_kind_of_run_is_refused_until_it_starts_over(shard, whole, tmp_path):
    shard()
    for options, difference in (
        (("--min-confidence", 0.5), "min_confidence was 0.0, is 0.5"),
        (("--shard-format", "jsonl"), "shard_format was 'parquet', is 'jsonl'"),
    ):
        result = shard(*options)
        assert result.exit_code == 2
        assert result.stderr == (SAYS["xray-infer-s-plan"].format(tmp_path=tmp_path, difference=difference))
    result = shard("--shard-format", "jsonl", "--restart", "--shard-size", 9)
    assert result.exit_code == 1
    rows = sorted(path.name for path in (tmp_path / "s").glob("rows-*"))
    assert rows == [f"rows-{number:05}-of-00004.jsonl" for number in range(4)]  # and none of before
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole


def test_other_files_beside_the_shards_are_left_alone(shard, whole, tmp_path):
    mine = ["mine.txt", "model/mine.onnx", "models/a", "inputs/patients.csv", "rows-1.csv", "counts.json"]
    mine += ["inputs/00001-of-00002/deep.jsonl", "attempts/x"]
    for name in mine:
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).write_text("keep")
    (tmp_path / "s" / "rows-00000-of-00099.parquet").write_text("of a run that was killed starting over")
    shard()
    shard("--restart", "--shard-size", 9)
    assert [(tmp_path / "s" / name).read_text() for name in mine] == ["keep"] * len(mine)
    assert len(list((tmp_path / "s").glob("rows-*.parquet"))) == 4
    assert len(list((tmp_path / "s").glob("*/0000*-of-00008*"))) == 0
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole


def test_a_listing_is_dealt_alike_however_little_memory_it_gets(tmp_path, monkeypatch):
    names = [f"{number}.png" for number in range(500)]
    (tmp_path / "listing").write_bytes(
        b"".join(to_line(n, FileItem(Path(name), name)) for n, name in enumerate(names))
    )
    found = []
    for size in (1 << 20, 300):
        monkeypatch.setattr(inputs_module, "BUFFER_BYTES", size)
        folder = tmp_path / str(size)
        folder.mkdir()
        deal(tmp_path / "listing", 7, folder)
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert found[0] == found[1]
    dealt = [json.loads(line)[1] for data in found[0].values() for line in data.splitlines()]
    assert sorted(dealt) == sorted(names)
    assert all(200 < 7 * len(data.splitlines()) < 900 for data in found[0].values())


def test_many_stretches_merge_to_the_same_file(shard, whole, tmp_path, monkeypatch):
    shard()
    monkeypatch.setattr(merging, "LEAST_STRETCH", 3)
    monkeypatch.setattr(merging, "MOST_STRETCHES", 1000)
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole
    assert not list(tmp_path.glob(".xray-infer-*"))


def test_a_list_keeps_its_order_and_what_stands_twice(films, tiny_onnx, tmp_path, monkeypatch):
    monkeypatch.chdir(films)
    listed = tmp_path / "list.txt"
    listed.write_text("ward b/film004.png\nfilm000.png\nfilm000.png\nnowhere.png\n")
    infer("--from-list", listed, "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    result = infer("--from-list", listed, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--shard-size", 2)
    assert result.exit_code == 1
    assert merged(tmp_path / "s", tmp_path / "m.csv") == (tmp_path / "r.csv").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "s/", "--heatmap", "maps"], "--heatmap goes with --out FILE; s/ is for shards"),
        (["--out", "s/", "--report", "p.html"], "--report goes with --out FILE; s/ is for shards"),
        (["--out", "s/", "--watch"], "--watch goes with --out FILE; s/ is for shards"),
        (["--out", "memory://x/r.csv", "--dicom-out", "d"], "--dicom-out goes with --out FILE"),
        (["--out", "s/", "--actors", "2"], "--actors goes with --engine ray"),
        (
            ["--out", "r.csv", "--engine", "ray"],
            "--engine ray makes shards: give --out a folder with a slash",
        ),
    ],
)
def test_what_cannot_be_asked_for_together(films, options, message):
    result = infer(films, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_archives_and_credentials_are_refused_before_anything_is_written(tmp_path, films, tiny_onnx):
    import zipfile

    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(films / "film000.png", "a.png")
    result = infer(tmp_path / "films.zip", "--model", tiny_onnx, "--out", f"{tmp_path}/s/")
    assert result.exit_code == 2
    assert SAYS["a-png-members-of"] in result.stderr
    assert not (tmp_path / "s").exists()
    for uri in ("ftp://me:hidden@host/a.png", "https://host/a.png?X-Amz-Signature=hidden&x=1"):
        with pytest.raises(SourceError, match="holds a credential") as caught:
            to_line(0, UriItem(uri))
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "50%20", "x#y?z", "ü::[1]*"])
def test_folders_of_any_name(films, tiny_onnx, whole, tmp_path, name):
    for out in (tmp_path / name, (tmp_path / f"{name}2").as_uri()):
        assert infer(films, "--model", tiny_onnx, "--out", f"{out}/").exit_code == 1
        assert merged(out, tmp_path / "m.csv") == whole
    assert (tmp_path / name / "rows-00000-of-00001.parquet").is_file()
    assert (tmp_path / f"{name}2" / "run.json").is_file()


def test_a_folder_without_a_plan_cannot_be_merged(tmp_path):
    result = CliRunner().invoke(merge_command, [str(tmp_path), "--out", str(tmp_path / "m.csv")])
    assert (result.exit_code, result.stderr) == (
        2,
        SAYS["xray-infer-merge-no"].format(tmp_path=tmp_path),
    )


def test_without_fsspec_the_extra_is_named(films, tiny_onnx, tmp_path, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    result = infer(films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/")
    assert result.exit_code == 2
    assert result.stderr.endswith(SAYS["needs-an-extra-pip"])


def test_the_second_word_merge_is_a_command(shard, tmp_path):
    import sys

    shard()
    command = [sys.executable, "-m", "xray_infer", "merge", f"{tmp_path}/s", "--out", f"{tmp_path}/m.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.startswith(SAYS["results-rows-in-m"].format(tmp_path=tmp_path))
