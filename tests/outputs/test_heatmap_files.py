"""The files of heat maps: which they are, and how they behave in a run."""

import csv
import io
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from full_disk import fill_disk
from specimens import jpeg, ordinary_user, png

from xray_infer import Classifier
from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.cli import main
from xray_infer.run.artifact import ARTIFACT_SUFFIXES
from xray_infer.run.sources.selection import judge_name

SAYS = approved("xray-infer")

GOOD = ["film0.png", "film1.png", "film2.png", "ward b/film0.jpg", "ward b/film1.jpg", "ward b/film2.jpg"]


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def visible(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def test_heat_maps_are_written_beside_each_other(folder, tiny_onnx, tmp_path, xray):
    (folder / "film0.jpg").write_bytes(jpeg(xray))
    (folder / "bad.png").write_bytes(b"")
    result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps")
    assert result.exit_code == 1
    assert files_in(tmp_path / "maps") == sorted(f"{name}.heatmap.jpg" for name in [*GOOD, "film0.jpg"])
    overlay = cv2.imread(str(tmp_path / "maps" / "film0.png.heatmap.jpg"))
    assert overlay.shape[0] > xray.shape[0]
    assert overlay.shape[1] >= xray.shape[1]
    assert np.ptp(overlay[: xray.shape[0], : xray.shape[1]].astype(int), axis=2).max() > 30


@pytest.mark.parametrize(
    ("options", "suffixes"),
    [
        ([], [".heatmap.jpg"]),
        (["--heatmap-for", "predicted", "--heatmap-format", "png"], [".heatmap.png"]),
        (["--heatmap-for", "covid"], [".covid.heatmap.jpg"]),
        (["--heatmap-for", "all"], [f".{name}.heatmap.jpg" for name in CLASS_NAMES]),
        (["--heatmap-raw", "--heatmap-method", "gradcam"], [".heatmap.jpg", ".heatmap.npz"]),
    ],
)
def test_which_files_an_image_gets(folder, tiny_onnx, tmp_path, options, suffixes):
    maps = tmp_path / "maps"
    out = tmp_path / "r.csv"
    result = run(folder, "--model", tiny_onnx, "--out", out, "--heatmap", maps, *options)
    assert result.exit_code == 0, result.stderr
    assert files_in(maps) == sorted(f"{name}{suffix}" for name in GOOD for suffix in suffixes)


def test_all_classes_have_one_scale(folder, tiny_onnx, tmp_path, written):
    one = folder / "film0.png"
    result = run(one, "--model", tiny_onnx, "--heatmap", tmp_path / "maps", "--heatmap-for", "all")
    assert result.exit_code == 0, result.stderr
    ends = [text for text, _, _ in written if text.endswith("logit")]
    assert len(ends) == 3
    assert len(set(ends)) == 1


@pytest.mark.parametrize(
    "option",
    [
        ("--heatmap-for", "all"),
        ("--heatmap-format", "png"),
        ("--heatmap-method", "gradcam"),
        ("--heatmap-raw",),
    ],
)
def test_what_goes_with_a_folder_for_heat_maps_is_refused_without(folder, option):
    result = run(folder, "--out", folder / "r.csv", *option)
    assert result.exit_code == 2
    assert f"{option[0]} goes with --heatmap DIR" in result.stderr
    assert not (folder / "r.csv").exists()


def test_rows_are_the_same_with_and_without(folder, tiny_onnx, tmp_path, xray):
    """Large JPEGs are reduced while decoding for the model, and drawn at full size."""
    large = cv2.resize(xray, (1500, 1900), interpolation=cv2.INTER_CUBIC)
    (folder / "large.jpg").write_bytes(jpeg(large))
    plain, drawn = tmp_path / "plain.csv", tmp_path / "drawn.csv"
    assert run(folder, "--model", tiny_onnx, "--out", plain).exit_code == 0
    options = ["--heatmap", tmp_path / "maps", "--heatmap-format", "png"]
    assert run(folder, "--model", tiny_onnx, "--out", drawn, *options).exit_code == 0
    assert plain.read_bytes() == drawn.read_bytes()
    isolated = run(
        folder, "--model", tiny_onnx, "--out", drawn, *options, "--isolate", "--restart", "--workers", 1
    )
    assert isolated.exit_code == 0, isolated.stderr
    assert plain.read_bytes() == drawn.read_bytes()
    overlay = cv2.imread(str(tmp_path / "maps" / "large.jpg.heatmap.png"))
    assert overlay.shape[1] == 1500
    assert overlay.shape[0] > 1900


def test_deep_pixels_dicom_archives_and_lists(folder, tiny_onnx, tmp_path, xray):
    pytest.importorskip("pydicom")
    from dicom_files import dicom

    deep = xray.astype(np.uint16) * 16
    files = {
        "deep.png": png(deep),
        "deep.tif": cv2.imencode(".tif", deep)[1].tobytes(),
        "IM01": dicom(deep, bits=12),
        "x/a.webp": cv2.imencode(".webp", xray)[1].tobytes(),
    }
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    maps = tmp_path / "maps"
    options = ["--model", tiny_onnx, "--heatmap", maps, "--heatmap-format", "png"]
    result = run(tmp_path / "films.zip", "--out", tmp_path / "r.csv", *options)
    assert result.exit_code == 0, result.stderr
    assert files_in(maps) == sorted(f"{name}.heatmap.png" for name in files)
    for name in files:
        overlay = cv2.imread(str(maps / f"{name}.heatmap.png"))
        assert overlay.shape[0] > 300
        assert overlay[:300, :260].std() > 20
    (tmp_path / "list.txt").write_text(f"{folder / 'film0.png'}\n{folder / 'film1.png'}\n")
    result = run("--from-list", tmp_path / "list.txt", "--out", tmp_path / "l.csv", *options)
    assert result.exit_code == 0, result.stderr
    written = sorted(path.name for path in maps.rglob("film?.png.*"))
    assert written == ["film0.png.heatmap.png", "film1.png.heatmap.png"]


@pytest.mark.parametrize("suffix", ARTIFACT_SUFFIXES)
def test_what_a_run_makes_is_no_input(suffix):
    assert judge_name(f"a/film.png{suffix}") is False


def test_heat_maps_of_an_earlier_run_are_no_input(folder, tiny_onnx, tmp_path):
    options = ["--heatmap", folder, "--heatmap-raw", "--heatmap-for", "all"]
    for _ in range(2):
        result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", *options)
    assert len([name for name in files_in(folder) if ".heatmap." in name]) == 6 * 4
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["path"] for row in csv.DictReader(stream)] == GOOD
    assert "26 other files were skipped" in result.stderr


def test_the_maps_themselves(folder, tiny_onnx, tmp_path):
    contents = []
    for number in range(2):
        maps = tmp_path / f"maps{number}"
        result = run(folder / "film1.png", "--model", tiny_onnx, "--heatmap", maps, "--heatmap-raw")
        assert result.exit_code == 0, result.stderr
        contents.append((maps / "film1.png.heatmap.npz").read_bytes())
    assert contents[0] == contents[1]
    with Classifier(tiny_onnx) as classifier:
        prediction = classifier.predict(folder / "film1.png")
    with np.load(io.BytesIO(contents[0]), allow_pickle=False) as kept:
        assert kept["maps"].dtype == np.float32
        assert np.array_equal(kept["maps"], np.maximum(prediction.cam, 0) / 49)
        assert tuple(kept["class_names"]) == CLASS_NAMES
        assert dict(zip(kept["class_names"], kept["probabilities"], strict=True)) == pytest.approx(
            prediction.probabilities
        )
        assert (kept["method"], kept["unit"], kept["model"]) == ("gradcam", "logit", "tiny")
        assert kept["model_sha256"] == prediction.row.model_sha256
        assert RESEARCH_NOTICE in str(kept["notice"])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.png", "a.png.heatmap.jpg"),
        ("ward b/a.jpg", "ward b/a.jpg.heatmap.jpg"),
        ("/etc/a.png", "%2F/etc/a.png.heatmap.jpg"),
        ("../../a.png", "%2E%2E/%2E%2E/a.png.heatmap.jpg"),
        ("s3://bucket/a.png", "s3%3A/%2F/bucket/a.png.heatmap.jpg"),
        ("C:\\films\\a\n.png", "C%3A%5Cfilms%5Ca%0A.png.heatmap.jpg"),
        ("50%2E.png", "50%252E.png.heatmap.jpg"),
    ],
)
def test_heat_maps_stay_in_their_folder_whatever_the_name(tmp_path, name, place):
    from xray_infer.outputs.naming import file_for

    assert file_for(tmp_path, name, ".heatmap.jpg") == tmp_path / place


def test_heat_maps_of_long_names_are_written_and_do_not_collide(folder, tiny_onnx, tmp_path):
    data = (folder / "film0.png").read_bytes()
    for last in "ab":
        (folder / f"{'é' * 124}{last}.png").write_bytes(data)
    result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "maps").rglob("*.heatmap.jpg"))) == 8


# Runs


def test_an_interrupted_run_makes_good_what_is_missing(folder, tiny_onnx, tmp_path, stop_after):
    maps, out = tmp_path / "maps", tmp_path / "r.csv"
    options = ["--model", tiny_onnx, "--out", out, "--heatmap", maps, "--heatmap-for", "all", "--heatmap-raw"]
    for number in range(8):
        (folder / f"more{number}.png").write_bytes((folder / "film0.png").read_bytes())
    read = stop_after(4)
    assert run(folder, *options, "--workers", 1).exit_code == 130
    done = list(read)
    assert 4 <= len(done) < 14
    times = {name: (maps / name).stat().st_mtime_ns for name in files_in(maps)}
    assert len(times) == 4 * len(done)
    lost = [f"{done[0]}.normal.heatmap.jpg", f"{done[2]}.heatmap.npz"]
    for name in lost:
        (maps / name).unlink()
    read.clear()
    result = run(folder, *options)
    assert result.exit_code == 0, result.stderr
    assert {done[0], done[2]} <= set(read)
    assert not {done[1], *done[3:]} & set(read)
    assert len(read) == 14 - len(done) + 2
    assert len(files_in(maps)) == 4 * 14
    untouched = [f"{name}.covid.heatmap.jpg" for name in (done[1], *done[3:])]
    assert all((maps / name).stat().st_mtime_ns == times[name] for name in untouched)


def test_killed_runs_leave_whole_files_and_end_as_an_undisturbed_one(folder, tiny_onnx, tmp_path):
    """SIGKILL, at moments of its own choosing."""
    for number in range(40):
        (folder / f"more{number:02}.png").write_bytes((folder / f"film{number % 3}.png").read_bytes())
    options = ["--model", tiny_onnx, "--heatmap-raw", "--heatmap-for", "all", "--quiet"]
    whole, maps = tmp_path / "whole", tmp_path / "maps"
    assert run(folder, "--out", tmp_path / "w.csv", "--heatmap", whole, *options).exit_code == 0
    command = [sys.executable, "-m", "xray_infer", folder, "--out", tmp_path / "r.csv", "--heatmap", maps]
    killed = 0
    while not (tmp_path / "r.csv").exists():
        wanted = len(list(maps.rglob("*.npz"))) + 9
        process = subprocess.Popen([str(part) for part in (*command, *options)], stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(maps.rglob("*.npz"))) < wanted:
            time.sleep(0.002)
        killed += process.poll() is None
        process.kill()
        process.wait()
        for path in visible(maps):
            assert path.read_bytes() == (whole / path.relative_to(maps)).read_bytes()
    assert killed >= 1
    assert len(visible(maps)) == len(visible(whole)) == 46 * 4
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "w.csv").read_bytes()


@pytest.mark.parametrize(
    ("option", "difference"),
    [
        (["--heatmap-for", "covid"], "heatmap_for was 'predicted', is 'covid'"),
        (["--heatmap-format", "png"], "heatmap_format was 'jpeg', is 'png'"),
        (["--heatmap-raw"], "heatmap_raw was False, is True"),
    ],
)
def test_a_run_goes_on_only_with_the_same_heat_maps(
    folder, tiny_onnx, tmp_path, stop_after, option, difference
):
    options = ["--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps"]
    stop_after(2)
    assert run(folder, *options, "--workers", 1).exit_code == 130
    result = run(folder, *options, *option)
    assert result.exit_code == 2
    assert difference in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_no_half_file(folder, tiny_onnx, tmp_path, monkeypatch):
    maps, out = tmp_path / "maps", tmp_path / "r.csv"
    options = ["--model", tiny_onnx, "--out", out, "--heatmap", maps, "--workers", 1]
    run(folder, *options)
    sizes = [path.stat().st_size for path in maps.rglob("*.jpg")]
    with monkeypatch.context() as patch:
        fill_disk(patch, tmp_path / "full", room=int(2.5 * max(sizes)))
        result = run(folder, *options[:-4], "--heatmap", tmp_path / "full", "--restart", "--workers", 1)
    assert result.exit_code == 2
    *_, last = result.stderr.splitlines()
    assert SAYS["no-space-left-on"] in last
    assert "Traceback" not in result.stderr
    whole = files_in(tmp_path / "full")
    assert 2 <= len(whole) < 6
    assert all((tmp_path / "full" / name).read_bytes() == (maps / name).read_bytes() for name in whole)


def test_a_file_in_the_folders_place_is_one_line(folder, tiny_onnx, tmp_path):
    (tmp_path / "maps").write_text("mine")
    for place in ("maps", "maps/deeper"):
        result = run(
            folder,
            "--model",
            tiny_onnx,
            "--out",
            tmp_path / "r.csv",
            "--heatmap",
            tmp_path / place,
            "--quiet",
        )
        assert result.exit_code == 2
        assert "cannot make the folder" in result.stderr
        assert SAYS["a-file-stands-in"] in result.stderr
        assert result.stderr.count("\n") == 1
    assert (tmp_path / "maps").read_text() == "mine"


def test_a_folder_that_may_not_be_written_to_is_one_line(folder, tiny_onnx, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps").chmod(0o555)
    (tmp_path / "out").mkdir()
    run(folder / "film0.png", "--model", tiny_onnx)  # loads what an ordinary user may not be able to load
    options = ["--out", tmp_path / "out" / "r.csv", "--heatmap", tmp_path / "maps", "--quiet"]
    with ordinary_user(tiny_onnx, tmp_path / "out"):
        result = run(folder, "--model", tiny_onnx, *options)
    assert result.exit_code == 2, result.stderr
    assert SAYS["permission-denied-choose-a"] in result.stderr
    assert result.stderr.count("\n") == 1
    assert files_in(tmp_path / "maps") == []


# From Python


def test_a_prediction_draws_what_the_command_draws(folder, tiny_onnx, tmp_path, xray):
    path = folder / "film0.png"
    options = ["--heatmap", tmp_path, "--heatmap-format", "png"]
    assert run(path, "--model", tiny_onnx, *options).exit_code == 0
    with Classifier(tiny_onnx) as classifier:
        prediction = classifier.predict(path)
        bad = classifier.predict(b"no image")
    drawn = prediction.heatmap(path)
    assert np.array_equal(drawn, cv2.imread(str(tmp_path / "film0.png.heatmap.png")))
    assert np.array_equal(prediction.heatmap(path.read_bytes()), drawn)
    assert np.array_equal(prediction.heatmap(xray), drawn)
    others = [prediction.heatmap(xray, of=name) for name in CLASS_NAMES]
    assert sum(np.array_equal(other, drawn) for other in others) == 1
    with pytest.raises(ValueError, match=SAYS["there-is-no-heat"]):
        bad.heatmap(path)
    with pytest.raises(ValueError, match="no such class: flu"):
        prediction.heatmap(path, of="flu")


def test_real_pictures_of_every_size(shared_data, tmp_path):
    names = ["085_covid_333x277.jpg", "027_normal_1024x1024.png", "052_covid_2836x2336.jpg"]
    (tmp_path / "films").mkdir()
    for name in names:
        (tmp_path / "films" / name).symlink_to(shared_data / "originals" / name)
    result = run(tmp_path / "films", "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps")
    assert result.exit_code == 0, result.stderr
    for name in names:
        picture = cv2.imread(str(shared_data / "originals" / name), cv2.IMREAD_GRAYSCALE)
        height, width = picture.shape
        overlay = cv2.imread(str(tmp_path / "maps" / f"{name}.heatmap.jpg"))
        assert overlay.shape[1] == width
        # The anatomy is visible: the overlay follows the picture's detail.
        blurred = [
            cv2.GaussianBlur(one, (0, 0), 8).astype(float) for one in (picture, overlay[:height, :, 2])
        ]
        detail = [
            one.astype(float) - smooth
            for one, smooth in zip((picture, overlay[:height, :, 2]), blurred, strict=True)
        ]
        assert np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1] > 0.9
