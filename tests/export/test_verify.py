"""xray-export verify: the certificate of a file, found again."""

import re
import shutil
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

from click.testing import CliRunner
from tiny_densenet import METHOD

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import ParityError
from xray_infer.export.cli import main
from xray_infer.export.recipes import RECIPES
from xray_infer.model.manifest_parts import Deviation
from xray_infer.study.parity import TOLERANCES, check_limits

SAYS = approved("xray-export")

pytestmark = pytest.mark.tensorflow

FILES = sorted(f"{METHOD}-{recipe}.{model_format}" for model_format, recipe in RECIPES)


@pytest.mark.parametrize("name", FILES)
def test_verify_repeats_the_certificate(tiny_exports, tiny_keras, name):
    result = CliRunner().invoke(
        main, ["verify", str(tiny_exports[0] / name), "--data", str(tiny_keras.parent / "data")]
    )
    assert result.exit_code == 0, result.output
    rows = {
        line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if len(line.split()) == 3
    }
    assert rows["agreement"][0] == rows["agreement"][1]
    assert rows["images"] == ["9", "9"]
    assert float(rows["mean_dp"][1]) == pytest.approx(float(rows["mean_dp"][0]), abs=1e-6)


def test_so_many_of_the_images_can_be_run(tiny_exports, tiny_keras):
    file = tiny_exports[0] / f"{METHOD}-fp32.onnx"
    data = str(tiny_keras.parent / "data")
    for asked, run in (("4", "4"), ("400", "9")):
        result = CliRunner().invoke(main, ["verify", str(file), "--data", data, "--images", asked])
        assert result.exit_code == 0, result.output
        assert re.search(rf"^images +9 +{run}$", result.stdout, re.MULTILINE)


def test_verify_refuses_other_images_and_other_answers(tiny_exports, tiny_keras, tmp_path):
    file, answers = f"{METHOD}-fp32.onnx", f"{METHOD}.reference.npz"
    data = tiny_keras.parent / "data"
    some = tmp_path / "some"
    shutil.copytree(data / CLASS_NAMES[0], some)
    for one, message in (
        (["--data", some], r"of the 9 images that judged this file are not in the data"),
        (
            ["--data", data, "--reference", tmp_path / "none.npz"],
            "cannot read the reference answers: No such file",
        ),
        (["--data", data, "--reference", tiny_keras], "cannot read the reference answers: damaged"),
    ):
        result = CliRunner().invoke(main, ["verify", str(tiny_exports[0] / file), *map(str, one)])
        assert result.exit_code == 2
        assert re.search(message, result.stderr), result.stderr
        assert result.stderr.count("\n") == 1
    shutil.copy(tiny_exports[0] / file, tmp_path / file)
    with np.load(tiny_exports[0] / answers) as stored:
        changed = dict(stored)
    changed["cam"] = changed["cam"] + np.float32(1)
    np.savez(tmp_path / answers, **changed)
    result = CliRunner().invoke(main, ["verify", str(tmp_path / file), "--data", str(data)])
    assert result.exit_code == 2
    assert SAYS["are-not-those-of"] in result.stderr


def test_the_same_reference_is_the_same_bytes(tiny_reference, tmp_path):
    for name in ("one.npz", "two.npz"):
        tiny_reference.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize(
    ("agreement", "kept", "passes"), [(59 / 60, 45 / 46, True), (58 / 60, 44 / 46, False)]
)
def test_of_few_images_one_may_have_another_label(agreement, kept, passes):
    deviation = Deviation(agreement, kept, max_dp=0.01, mean_dp=0.002, cam_error=0.1, cam_correlation=1.0)
    tolerance = replace(TOLERANCES["int8-static"], agreement=0.99)
    with pytest.raises(ParityError, match="agreement is") if not passes else nullcontext():
        check_limits(deviation, tolerance, "here", slack=1 / 46)
    with pytest.raises(ParityError, match="agreement is"):
        check_limits(deviation, tolerance, "here")
