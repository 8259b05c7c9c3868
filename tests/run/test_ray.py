"""The engine `ray`: the rows of the local engine, whoever dies. One cluster of this machine a command."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from approved import approved
from click.testing import CliRunner
from loopback_s3 import SECRET, served
from sharded import infer, merged, plant, poisoned, start

from benchmarks.studies.shards.kills import actors_of
from xray_infer.cli import main
from xray_infer.errors import XrayError
from xray_infer.run.shards.on_ray import RayOptions, _connect

SAYS = approved("xray-infer")

pytest.importorskip("ray.data", reason="the extra [ray] is not installed")
pytest.importorskip("s3fs")

RAY = ("--engine", "ray", "--actors", 2)
TOKEN = "hidden0123456789" * 2


@pytest.fixture
def films(tmp_path, xray):
    return plant(tmp_path / "films", xray)


@pytest.fixture
def whole(films, tiny_onnx, tmp_path) -> bytes:
    infer(films, "--model", tiny_onnx, "--out", tmp_path / "whole.csv")
    return (tmp_path / "whole.csv").read_bytes()


def finished(out):
    return len(list(out.glob("counts/*.json")))


def test_actors_make_the_same_rows_out_of_s3_and_into_it(films, tiny_onnx, tmp_path, monkeypatch):
    with served(monkeypatch) as files:
        for path in sorted(films.rglob("*.*")):
            if path.exists() and path.name.isprintable():
                files.pipe(f"films/x/{path.relative_to(films).as_posix()}", path.read_bytes())
        # Another engine has no part in what rows depend on: the second run finds nothing to do.
        arguments = ("s3://films/x", "--model", tiny_onnx, "--out", "s3://results/run/", "--shard-size", 5)
        process = start(*arguments, *RAY)
        told = process.communicate()[1]
        assert process.returncode == 1, told
        assert "28 images in " in told
        assert SECRET not in told
        rows = merged("s3://results/run/", tmp_path / "m.csv")
        infer("s3://films/x", "--model", tiny_onnx, "--out", tmp_path / "r.csv")
        assert rows == (tmp_path / "r.csv").read_bytes()
        assert SAYS["rows-are-from-an"] in infer(*arguments).stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds actors in /proc")
def test_killed_actors_and_drivers_lose_and_double_nothing(films, whole, tiny_onnx, tmp_path):
    out = tmp_path / "s"
    arguments = (films, "--model", tiny_onnx, "--out", f"{out}/", "--shard-size", 1, "--quiet", *RAY)
    chance = random.Random(3)
    process = start(*arguments)
    for victim in ("actor", "driver"):
        before = finished(out)
        while process.poll() is None and finished(out) <= before:
            time.sleep(0.01)
        assert process.poll() is None
        pids = list(actors_of(process.pid)) if victim == "actor" else [process.pid]
        os.kill(chance.choice(pids), signal.SIGKILL)
        if victim == "driver":
            process.wait()
            assert 0 < finished(out) < 30
            process = start(*arguments)
    told = process.communicate()[1]
    assert process.returncode == 1, told
    assert merged(out, tmp_path / "m.csv") == whole


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_an_input_that_kills_its_actor_becomes_a_row(films, tiny_onnx, tmp_path):
    (films / "poison.png").write_bytes((films / "film000.png").read_bytes() + b"POISON")
    out = tmp_path / "s"
    arguments = (films, "--model", tiny_onnx, "--out", f"{out}/", "--shard-size", 5, "--quiet")
    process = start(*arguments, "--engine", "ray", "--actors", 1, PYTHONPATH=poisoned(tmp_path))
    told = process.communicate()[1]
    assert process.returncode == 1, told
    rows = [json.loads(line) for line in merged(out, tmp_path / "m.jsonl").decode().splitlines()]
    assert len(rows) == 31
    assert {row["path"]: row["reason"] for row in rows}["poison.png"] == "the decoder crashed: SIGSEGV"


def test_ctrl_c_ends_after_a_shard_and_says_how_to_go_on(films, tiny_onnx, tmp_path, heeds_interrupts):
    out = tmp_path / "s"
    for number in range(150):
        (films / f"more{number}.png").write_bytes((films / "film000.png").read_bytes())
    infer(films, "--model", tiny_onnx, "--out", tmp_path / "whole.csv")
    arguments = (films, "--model", tiny_onnx, "--out", f"{out}/", "--shard-size", 1, *RAY)
    process = start(*arguments)
    while process.poll() is None and finished(out) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert process.returncode == 130, told
    assert SAYS["shards-are-finished-in"].format(out=out) in told
    assert infer(*arguments[: -len(RAY)]).exit_code == 1  # by the local engine
    assert merged(out, tmp_path / "m.csv") == (tmp_path / "whole.csv").read_bytes()


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    """The options and the variables that lead to a cluster that `ray start` started, as on many machines.

    It has two processors and wants a token.
    """
    if os.name == "nt":
        pytest.skip("needs signals")
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    with tempfile.TemporaryDirectory(
        prefix="ray-", ignore_cleanup_errors=True
    ) as folder:  # short, for its sockets
        command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--port", str(port)]
        command += ["--temp-dir", folder, "--include-dashboard=false", "--num-cpus", "2"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, env={**os.environ, **variables}, start_new_session=True, **quiet)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.1)
            yield ("--ray-address", f"127.0.0.1:{port}"), variables
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # `ray` itself would wait 30 s for its workers
            process.wait()


def test_a_cluster_that_wants_a_token(cluster, films, whole, tiny_onnx, tmp_path):
    address, variables = cluster
    arguments = (films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--shard-size", 9, *RAY)
    process = start(*arguments, *address, **variables)
    told = process.communicate()[1]
    assert process.returncode == 1, told
    assert merged(tmp_path / "s", tmp_path / "m.csv") == whole
    written = [path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert not [data for data in (told.encode(), *written) if b"hidden0123" in data]


def test_an_actor_that_nothing_has_room_for_is_one_line(cluster, films, tiny_onnx, tmp_path):
    address, variables = cluster
    arguments = (films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--engine", "ray", *address)
    process = start(*arguments, "--actor-gpus", 9, **variables)
    told = process.communicate()[1]
    assert process.returncode == 2
    assert SAYS["an-actor-needs-processors"] in told


def test_a_missing_token_is_told_with_what_to_set(monkeypatch):
    import ray

    def refuse(**given):
        try:
            raise RuntimeError("RPC error: InvalidAuthToken: missing\nmore")
        except RuntimeError as error:
            raise ConnectionError("Failed to connect to Ray cluster\nmore") from error

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(XrayError) as caught:
        _connect(RayOptions("ray://host:1"))
    assert str(caught.value) == (SAYS["engine-ray-no-cluster"])


def test_no_cluster_there_is_one_line(films, tiny_onnx, tmp_path):
    process = start(
        films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", *RAY, "--ray-address", "127.0.0.1:1"
    )
    told = process.communicate()[1]
    assert process.returncode == 2
    assert SAYS["xray-infer-engine-ray"] in told


def test_without_ray_the_extra_is_named_and_nothing_else_runs(films, tiny_onnx, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    given = [films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--engine", "ray"]
    result = CliRunner().invoke(main, list(map(str, given)))
    assert (result.exit_code, result.stderr) == (
        2,
        SAYS["xray-infer-engine-ray-needs"],
    )
    assert not (tmp_path / "s").exists()


def test_ray_is_loaded_only_when_it_is_asked_for(films, tiny_onnx, tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from xray_infer.cli import main; "
        f"CliRunner().invoke(main, {[str(films), '--model', str(tiny_onnx), '--out', f'{tmp_path}/s/']!r}); "
        "print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
