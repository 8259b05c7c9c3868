"""The way of a model that is given the lungs: its training record, both formats, the command, and checks."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

import keras
from click.testing import CliRunner
from places import SAMPLES
from tiny_densenet import METHOD, TEMPERATURE, make_model

from xray_infer import cli
from xray_infer.export.cli import main
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.runtimes import find_model
from xray_infer.study.temperature import at_temperature
from xray_infer.study.training_record import read_training_record, write_training_record

SAYS = approved("xray-export")

pytestmark = pytest.mark.tensorflow

MADE = Preprocessing(2, 128)
RECIPES = ("fp32", "int8-static")
FILES = [f"{METHOD}-{recipe}.{form}" for recipe in RECIPES for form in ("onnx", "tflite")]
FILMS = sorted(SAMPLES.glob("phantom_*"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network of 128 pixels that was trained on lungs."""
    return make_model(tmp_path_factory.mktemp("lungs"), MADE)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("lungs") / "files"
    options = ["--quantize", ",".join(RECIPES), "--data", trained.parent / "data", "--out", out]
    options += ["--calibration-images", 12]
    result = CliRunner().invoke(main, [str(one) for one in (trained, *options)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def given():
    """What the network sees of the samples, uint8 [6, 128, 128, 1]."""
    return np.stack([MADE(decode(film.read_bytes(), side=MADE.decode_side)).pixels for film in FILMS])


@pytest.mark.parametrize("name", FILES)
def test_the_file_says_what_it_was_trained_on(exported, name):
    manifest = find_model(exported / name).open().manifest
    assert manifest.preprocessing == MADE
    assert manifest.training.record["preprocessing_version"] == 2
    assert manifest.parity.result.agreement >= 0.98


@pytest.mark.parametrize("name", FILES)
def test_every_format_answers_as_the_keras_model_to_the_lungs(trained, exported, given, name):
    expected = keras.saving.load_model(trained, compile=False).predict(given, verbose=0)
    output = find_model(exported / name).open().run(given[:1])
    assert output.cam.shape == (1, 4, 4, 3)
    session = find_model(exported / name).open()
    found = np.concatenate([session.run(one[None]).probabilities for one in given])
    limit = 1e-5 if "fp32" in name else 0.1
    assert np.abs(found - at_temperature(expected, TEMPERATURE)).max() < limit


def test_the_command_finds_the_same_lungs_for_every_file(exported, given, tmp_path):
    lungs = {}
    for name in FILES:
        out = tmp_path / f"{name}.csv"
        arguments = [SAMPLES, "--model", exported / name, "--out", out, "--ood-threshold", "inf"]
        result = CliRunner().invoke(cli.main, [str(one) for one in arguments])
        assert result.exit_code == 0, result.output
        with out.open(newline="") as stream:
            rows = {row["path"]: row for row in csv.DictReader(stream)}
        session = find_model(exported / name).open()
        for film, image in zip(FILMS, given, strict=True):
            found = [float(rows[film.name][f"prob_{label}"]) for label in ("covid", "pneumonia", "normal")]
            assert found == pytest.approx(session.run(image[None]).probabilities[0], abs=1e-6)
        lungs[name] = {path: row["lungs"] for path, row in rows.items()}
    assert all(one == lungs[FILES[0]] for one in lungs.values())
    assert "none" not in lungs[FILES[0]].values()


@pytest.mark.parametrize("name", FILES[:2])
def test_the_certificate_is_found_again_on_the_same_lungs(trained, exported, name):
    arguments = ["verify", exported / name, "--data", trained.parent / "data"]
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("version", [0, 3])
def test_a_record_of_another_preprocessing_is_refused(trained, tmp_path, version):
    model = tmp_path / trained.name
    model.write_bytes(trained.read_bytes())
    record = read_training_record(trained.with_suffix(".json"))
    facts = replace(record.facts, preprocessing_version=version)
    write_training_record(model.with_suffix(".json"), replace(record, facts=facts))
    assert json.loads(model.with_suffix(".json").read_text())["preprocessing_version"] == version
    arguments = [model, "--data", trained.parent / "data", "--out", tmp_path / "out"]
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert SAYS["expected-one-of"].format(version=version) in result.stderr
    assert not (tmp_path / "out").exists()
