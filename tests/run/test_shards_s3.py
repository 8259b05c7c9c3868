"""Shards in and out of S3 itself, played by moto's server on the loopback interface."""

import logging

import pytest
from approved import approved
from click.testing import CliRunner
from loopback_s3 import KEY_ID, SECRET, served
from sharded import infer, merged, plant

from xray_infer.cli import merge_command

SAYS = approved("xray-infer")

pytest.importorskip("pyarrow")


@pytest.fixture
def bucket(monkeypatch, tmp_path, xray):
    """Films in a folder and the same below s3://films/export; a link to nothing is in neither."""
    with served(monkeypatch) as files:
        folder = plant(tmp_path / "films", xray)
        (folder / "gone.png").unlink()
        for odd in folder.glob("name*"):  # keys of S3 are UTF-8
            odd.unlink()
        for path in sorted(folder.rglob("*.*")):
            files.pipe(f"films/export/{path.relative_to(folder).as_posix()}", path.read_bytes())
        yield files


def test_from_one_bucket_to_another(bucket, tiny_onnx, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    infer(tmp_path / "films", "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    arguments = ("s3://films/export", "--model", tiny_onnx, "--out", "s3://results/run/", "--shard-size", 5)
    result = infer(*arguments)
    assert result.exit_code == 1, result.stderr
    assert SAYS["results-shards-in-s-results"] in result.stderr
    assert merged("s3://results/run/", tmp_path / "m.csv") == (tmp_path / "r.csv").read_bytes()
    assert len(bucket.ls("results/run", detail=False)) == 11  # attempts are gone, and so is their folder

    bucket.rm("results/run/rows-00002-of-00006.parquet")
    bucket.pipe("films/export/film003.png", b"changed")
    again = infer(*arguments)
    assert again.exit_code == 1
    (tmp_path / "films" / "film003.png").write_bytes(b"changed")
    infer(tmp_path / "films", "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    assert merged("s3://results/run", tmp_path / "m.csv") == (tmp_path / "r.csv").read_bytes()

    seen = [result.output, again.output, *(record.getMessage() for record in caplog.records)]
    seen += [bucket.cat_file(path).decode("latin-1") for path in bucket.find("results")]
    seen += [path.read_text("latin-1") for path in tmp_path.glob("*.*") if path.suffix != ".onnx"]
    ours = [text for text in seen if "AWS4-HMAC-SHA256" not in text and "botocore" not in text]
    assert len(ours) > 20
    assert not [text for text in seen if SECRET in text]
    assert not [text for text in [result.output, again.output, *seen[-20:]] if KEY_ID in text]


def test_a_bucket_that_is_not_there_is_one_line(bucket, tiny_onnx, tmp_path):
    for arguments in (
        ("s3://nowhere/x", "--out", "s3://results/run/"),
        ("s3://films/export", "--out", "s3://nowhere/run/"),
    ):
        result = infer(*arguments, "--model", tiny_onnx)
        assert result.exit_code == 2
        assert result.stderr.startswith("xray-infer: s3://nowhere/")
        assert result.stderr.count("\n") == 1, result.stderr


def test_a_password_in_the_uri_of_the_results_is_not_shown(tmp_path, tiny_onnx, monkeypatch, xray):
    from fsspec.implementations.ftp import FTPFileSystem

    def refuse(files):
        from types import SimpleNamespace

        files.ftp = SimpleNamespace(close=lambda: None)
        raise OSError("refused for ftp://me:hidden@host/x")

    monkeypatch.setattr(FTPFileSystem, "_connect", refuse)
    folder = plant(tmp_path / "films", xray, good=1)
    result = infer(folder, "--model", tiny_onnx, "--out", "ftp://me:hidden@host/x/")
    assert result.exit_code == 2
    assert SAYS["ftp-me-host-x"] in result.stderr
    assert "hidden" not in result.stderr


def test_a_list_in_a_bucket_and_a_file_in_a_bucket(bucket, tiny_onnx, tmp_path):
    listed = "s3://films/export/film003.png\ns3://films/export/empty.png\ns3://films/none.png\n"
    bucket.pipe("films/list.txt", listed.encode())
    (tmp_path / "list.txt").write_text(listed)
    infer("--from-list", tmp_path / "list.txt", "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    result = infer("--from-list", "s3://films/list.txt", "--model", tiny_onnx, "--out", "s3://results/l/")
    assert result.exit_code == 1, result.stderr
    done = CliRunner().invoke(merge_command, ["s3://results/l/", "--out", "s3://results/l.csv"])
    assert done.stderr.startswith(SAYS["results-rows-in-s"])
    assert bucket.cat_file("results/l.csv") == (tmp_path / "r.csv").read_bytes()
    assert bucket.exists("results/l.csv.run.json")
    result = infer("--from-list", "s3://films/nothing.txt", "--model", tiny_onnx, "--out", "s3://results/n/")
    assert (result.exit_code, result.stderr) == (
        2,
        SAYS["xray-infer-from-list"],
    )
