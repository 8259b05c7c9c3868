"""xray-train adapt: from labelled films to a file that runs, and what it says on the way."""

import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from approved import approved

pytest.importorskip("onnx")

from adapt_films import SIDE, film, plant_films, texture_manifest, texture_model
from click.testing import CliRunner
from specimens import png
from tiny_alarm import example_alarm

from xray_infer import Classifier
from xray_infer.errors import DataError, ModelError, XrayError
from xray_infer.model.choice import shipped_model
from xray_infer.model.embedding import read_onnx_manifest
from xray_infer.model.manifest import SCORE_NAME
from xray_infer.model.runtimes import find_model
from xray_infer.run.alarm import STRANGE, USUAL
from xray_infer.run.settings import EngineOptions
from xray_infer.study.datasets import read_images
from xray_infer.train.adapt.adapting import AdaptRequest, adapt, parent_of
from xray_infer.train.adapt.head_file import open_head
from xray_infer.train.adapt.new_file import reference_path
from xray_infer.train.cli import main

SAYS = approved("xray-train")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return texture_model(tmp_path_factory.mktemp("model") / "textures.onnx")


@pytest.fixture
def films(tmp_path):
    return plant_films(tmp_path / "films")


@pytest.fixture
def run(model, films, tmp_path):
    def run(*options, data=films, out=tmp_path / "clinic.onnx"):
        arguments = ["adapt", data, "--model", model, "--out", out, *options]
        return CliRunner().invoke(main, [str(one) for one in arguments])

    return run


def test_a_file_with_the_clinics_classes(run, films, model, tmp_path):
    result = run()
    assert result.exit_code == 0, result.output
    out = tmp_path / "clinic.onnx"
    manifest = read_onnx_manifest(out)
    assert manifest.class_names == ("sick", "well")
    assert (manifest.name, manifest.recipe) == ("clinic", "fp32")
    told = manifest.adaptation
    assert told.parent == model.name
    assert told.parent_sha256 == find_model(model).digest
    assert told.films == {"sick": 16, "well": 16}
    assert told.data_sha256 == read_images(films).digest == manifest.training.data_sha256
    assert told.balanced_accuracy.value == 1
    assert told.balanced_accuracy.interval[0] < 0.95
    assert told.beside["the same head on 20x20 pixels"].value < 0.7
    assert told.beside["the same head on facts of the files"].value == 0.5
    assert told.doubts == ()
    assert not told.forced
    assert "this head, cross-validated           100.0 % (89.3 to 100.0)" in result.stdout
    with Classifier(out) as classifier:
        for kind, name in enumerate(("sick", "well")):
            assert classifier.predict(png(film(kind, 99))).raw_label == name


def test_the_file_is_the_parents_but_for_its_head(run, model, tmp_path):
    import onnx
    from onnx import numpy_helper

    run()
    before, after = (onnx.load(path).graph for path in (model, tmp_path / "clinic.onnx"))
    assert [str(node) for node in before.node] == [str(node) for node in after.node]
    changed = {
        one.name
        for one, other in zip(before.initializer, after.initializer, strict=True)
        if numpy_helper.to_array(one).tobytes() != numpy_helper.to_array(other).tobytes()
    }
    assert changed == {"kernel", "zeros", "bias", "temperature"}
    inputs = np.stack([film(kind, 50 + kind)[..., None] for kind in (0, 1, 2)])
    old, new = (find_model(path).open().run(inputs) for path in (model, tmp_path / "clinic.onnx"))
    assert np.array_equal(old.features, new.features)
    assert np.array_equal(old.ood_score, new.ood_score)
    assert new.cam.shape == (3, 2, 2, 2)


def test_every_runtime_computes_the_head(run, tmp_path):
    run()
    out = find_model(tmp_path / "clinic.onnx")
    maps = open_head(out.path.read_bytes(), "onnx").open_maps()
    inputs = np.stack([film(kind, 50 + kind)[..., None] for kind in (0, 1, 2)])
    for runtime in out.runtimes():
        session = out.open(runtime=runtime.name)
        answer = session.run(inputs)
        logits = np.log(answer.probabilities.astype(np.float64)) * session.manifest.temperature
        mean = answer.cam.astype(np.float64).mean(axis=(1, 2))
        bias = logits - mean
        assert np.allclose(bias - bias[:, :1], (bias - bias[:, :1])[0], atol=1e-4)
        read = np.stack([maps(one) for one in inputs])
        assert np.allclose(read.mean(axis=(1, 2)), answer.features, atol=1e-4)


def test_verify_repeats_the_gate(run, films, tmp_path):
    from xray_infer.export.verify import verify

    run()
    found = verify(tmp_path / "clinic.onnx", films)
    assert (tmp_path / "clinic.onnx.reference.npz").exists()
    assert found.stated.images == found.found.images == 24
    assert found.found.result.max_dp < 1e-5
    assert found.found.result.agreement == 1


def test_a_file_that_does_not_compute_its_head_does_not_appear(run, tmp_path, monkeypatch):
    from xray_infer.train.adapt import new_file
    from xray_infer.train.adapt.regression import Linear

    really = new_file.make_head_reference

    def other(parent, head, manifest, images):
        return really(parent, Linear(head.weights * 1.1, head.bias), manifest, images)

    monkeypatch.setattr(new_file, "make_head_reference", other)
    result = run()
    assert result.exit_code == 2
    assert "clinic.onnx (onnxruntime" in result.stderr
    assert not list(tmp_path.glob("clinic*.onnx"))
    assert not (tmp_path / "clinic.onnx.reference.npz").exists()


def test_the_same_classes_are_held_against_the_old_head(run, films, tmp_path):
    names = texture_manifest().class_names
    data = plant_films(tmp_path / "same", names=names)
    result = run(data=data, out=tmp_path / "same.onnx")
    assert result.exit_code == 0, result.output
    told = read_onnx_manifest(tmp_path / "same.onnx").adaptation
    assert told.beside["the old head, as it is"].value < 0.8
    assert told.gains["the old head, as it is"].interval[0] > 0
    assert set(told.films) == set(names)


def test_classes_are_chosen_renamed_and_merged(run, films, tmp_path):
    plant_films(tmp_path / "three", names=("a", "b", "c"))
    result = run("--classes", "ab=a+b,C=c", data=tmp_path / "three")
    assert result.exit_code == 0, result.output
    assert read_onnx_manifest(tmp_path / "clinic.onnx").adaptation.films == {"ab": 32, "C": 16}


def test_bad_films_are_named_and_left_out(run, films, tmp_path):
    (films / "sick" / "cut.png").write_bytes(png(film(0, 70))[:200])
    (films / "well" / "copy.png").write_bytes((films / "well" / "00.png").read_bytes())
    (films / "well" / "saved again.bmp").write_bytes(cv2.imencode(".bmp", film(1, 1))[1].tobytes())
    (films / "sick" / "both.png").write_bytes(png(film(0, 71)))
    (films / "well" / "both.png").write_bytes(png(film(0, 71)))
    result = run()
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if line.startswith("left out: ")]
    assert len(told) == 5
    assert sum(SAYS["the-same-film-has"] in line for line in told) == 2
    assert sum("the same film as 0" in line for line in told) == 2
    assert sum("truncated PNG" in line for line in told) == 1
    adaptation = read_onnx_manifest(tmp_path / "clinic.onnx").adaptation
    assert adaptation.films == {"sick": 16, "well": 16}
    assert adaptation.left_out == 5
    assert "5 files were left out" in result.stdout


def test_a_file_that_a_manifest_names_twice_is_one_film(run, films, tmp_path):
    names = [str(path.relative_to(films)) for path in sorted(films.rglob("*.png"))]
    rows = [f"{name},{name.partition('/')[0]}" for name in (*names, *names[:3])]
    (films / "manifest.csv").write_text("\n".join(["file,label", *rows, f"{names[0]},well"]))
    result = run()
    assert result.exit_code == 0, result.output
    adaptation = read_onnx_manifest(tmp_path / "clinic.onnx").adaptation
    assert adaptation.films == {"sick": 15, "well": 16}  # the first has two labels
    assert adaptation.left_out == 1


def test_that_the_films_for_testing_are_used_up_is_said(run, films):
    assert "split" not in run().stderr
    for path in sorted(films.rglob("*.png")):
        folder = films / ("test" if path.stem < "05" else "train") / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)
    (films / "sick").rmdir()
    (films / "well").rmdir()
    result = run()
    assert result.exit_code == 0, result.output
    assert SAYS["the-split-does-not"] in result.stderr


def test_a_run_that_was_stopped_goes_on(run, films, stop_after, read):
    stop_after(12)
    assert run("--workers", 1).exit_code == 130
    first = len(read)
    assert 12 <= first < 32
    assert run("--workers", 1).exit_code == 0
    assert len(read) < first + 32
    before = len(read)
    result = run("--workers", 1)
    assert result.exit_code == 0
    assert len(read) == before
    assert "computing the features" not in result.stderr


def test_damaged_features_and_those_of_another_model_are_computed_again(run, tmp_path, read):
    run()
    kept = sorted((tmp_path / "clinic.features").rglob("*.npz"))
    assert len(kept) == 32
    kept[0].write_bytes(b"damaged")
    kept[1].write_bytes(kept[1].read_bytes()[:100])
    kept[2].unlink()
    with kept[3].open("wb") as stream:
        np.save(stream, np.zeros(3))
    whole = dict(np.load(kept[4]))
    np.savez(kept[4], **whole | {"features": whole["features"] * np.nan})
    read.clear()
    assert run().exit_code == 0
    assert len(read) == 5
    other = texture_model(tmp_path / "other.onnx", temperature=2.0)
    read.clear()
    assert run("--model", other).exit_code == 0
    assert len(read) == 32


def test_nothing_kept_names_a_film_or_a_patient(run, films, tmp_path):
    (films / "sick" / "00.png").rename(films / "sick" / "Jane Doe.png")
    run()
    for path in (tmp_path / "clinic.features").rglob("*.npz"):
        assert b"Doe" not in path.read_bytes()


def test_the_limit_of_the_score_is_raised_and_never_lowered(run, films, tmp_path):
    """The score of this model is the mean gray, its limit 140."""
    result = run()
    assert read_onnx_manifest(tmp_path / "clinic.onnx").ood_threshold == 140
    assert "the limit was" not in result.stdout
    for number, path in enumerate(sorted(films.rglob("*.png"))):
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), np.clip(pixels.astype(int) + 45 + number // 16, 0, 255))
    result = run(out=tmp_path / "bright.onnx")
    manifest = read_onnx_manifest(tmp_path / "bright.onnx")
    with Classifier(tmp_path / "bright.onnx") as classifier:
        scores = [classifier.predict(path).ood_score for path in sorted(films.rglob("*.png"))]
    assert manifest.ood_threshold == pytest.approx(max(scores), abs=1e-4)
    assert manifest.adaptation.ood_limit == 140
    assert f"{manifest.ood_threshold:.3f}; the limit was 140.000" in result.stdout


def test_a_film_for_whose_sake_the_limit_is_raised_far_is_named(run, films):
    (films / "sick" / "white.png").write_bytes(png(np.full((SIDE, SIDE), 250, np.uint8)))
    result = run()
    assert result.exit_code == 0, result.output
    assert SAYS["the-highest-has"] in result.stdout


def test_a_file_without_a_score_is_adapted_too(films, tmp_path):
    parent = texture_model(
        tmp_path / "plain.onnx", output_names=("probabilities", "cam", "features"), thresholds={}
    )
    manifest = adapt(AdaptRequest(labelled=films, out=tmp_path / "out.onnx", model=parent)).manifest
    assert SCORE_NAME not in manifest.thresholds


def test_the_temperature_is_fitted_out_of_fold(films, tmp_path, model):
    """On noisy films a head is too sure; what it says of films that it did not see is put right."""
    for kind, name in enumerate(("sick", "well")):
        for number in range(16):
            (films / name / f"{number:02d}.png").write_bytes(png(film(kind, number, strength=1.2)))
    request = AdaptRequest(labelled=films, out=tmp_path / "out.onnx", model=model, force=True)
    manifest = adapt(request).manifest
    assert manifest.temperature != 1
    logits = []
    with Classifier(request.out) as classifier:
        for kind in (0, 1):
            for number in range(100, 200):
                found = classifier.predict(png(film(kind, number, strength=1.2)))
                logits.append(
                    (found.probabilities["sick" if kind == 0 else "well"], max(found.probabilities.values()))
                )
    right, confidence = np.array(logits).T
    assert abs((right >= 0.5).mean() - confidence.mean()) < 0.15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "sick" / "00.png").unlink(), None),
        (
            lambda root: [(root / "sick" / f"{n:02d}.png").unlink() for n in range(7)],
            SAYS["has-9-different-films"],
        ),
    ],
)
def test_ten_labels_a_class_are_the_least(run, films, change, message):
    change(films)
    result = run()
    assert result.exit_code == (0 if message is None else 2)
    if message:
        assert message in result.stderr
        assert run("--force").exit_code == 2


def test_films_of_few_patients_cannot_be_judged(run, films):
    for number, path in enumerate(sorted((films / "sick").iterdir())):
        path.rename(path.with_name(f"p{number % 4}_{number}.png"))
    for number, path in enumerate(sorted((films / "well").iterdir())):
        path.rename(path.with_name(f"p{10 + number}_{number}.png"))
    result = run("--patient-pattern", r"(p\d+)_")
    assert result.exit_code == 2
    assert SAYS["has-films-of-4-patients"] in result.stderr


def test_what_cannot_be_asked_for(run, films, model, tmp_path, tiny_onnx):
    for options, message in (
        (["--out", tmp_path / "clinic.h5"], SAYS["ends-in-onnx-or"]),
        (["--out", tmp_path / "clinic.tflite"], SAYS["of-another-format-than"]),
        (["--out", model], SAYS["would-replace-the-model"]),
        (["--model", tiny_onnx], SAYS["the-head-of-this-file"]),
    ):
        result = run(*options)
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert str(options[1]) in result.stderr


def test_a_name_that_no_model_has_is_one_line_with_those_that_have(run):
    result = run("--model", "fine_tunin")
    assert result.exit_code == 2
    expected = "--model fine_tunin: no model has this name; give a file, or feature_extraction or fine_tuning"
    assert result.stderr == f"xray-train: {expected}\n"


@pytest.mark.parametrize("harm", [slice(0, 9), slice(200, -3000), slice(20_000, None)])
def test_a_damaged_parent_is_one_line_that_names_it(run, model, tmp_path, harm):
    data = bytearray(model.read_bytes())
    if harm.stop is None:
        del data[harm]
    else:
        data[harm] = bytes(len(data[harm]))
    (tmp_path / "bad.onnx").write_bytes(data)
    result = run("--model", tmp_path / "bad.onnx")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert str(tmp_path / "bad.onnx") in result.stderr


def test_both_formats_of_one_name_have_their_own_reference(tmp_path):
    assert reference_path(tmp_path / "clinic.onnx") != reference_path(tmp_path / "clinic.tflite")


def test_a_model_that_ships_is_not_replaced(films):
    shipped = shipped_model("onnx").path
    with pytest.raises(ModelError, match="would replace the model"):
        parent_of(AdaptRequest(labelled=films, out=shipped))


def test_a_parent_whose_alarm_is_of_other_features_is_one_line_that_names_it(run, tmp_path):
    parent = texture_model(tmp_path / "odd.onnx", alarm=example_alarm().to_record())
    result = run("--model", parent)
    assert result.exit_code == 2
    assert str(parent) in result.stderr.splitlines()[-1]
    assert SAYS["its-alarm-is-of"] in result.stderr


def test_a_file_of_contract_1_is_told_to_be_exported_again(run, tmp_path):
    old = texture_model(
        tmp_path / "old.onnx",
        schema_version=1,
        class_names=("covid", "pneumonia", "normal"),
        output_names=("probabilities", "cam", SCORE_NAME),
    )
    result = run("--model", old)
    assert result.exit_code == 2
    assert SAYS["has-no-output-features"] in result.stderr


def test_from_python(model, films, tmp_path, capsys):
    with Classifier.adapt(films, tmp_path / "py.onnx", model=model, classes="bad=sick,good=well") as clinic:
        assert clinic.predict(png(film(0, 99))).raw_label == "bad"
        assert clinic.manifest.adaptation.films == {"bad": 16, "good": 16}
    assert "balanced accuracy" in capsys.readouterr().err
    with pytest.raises(DataError):
        Classifier.adapt(tmp_path / "none", tmp_path / "none.onnx", model=model)


def test_an_installation_that_does_not_know_of_it(monkeypatch, films, tmp_path):
    monkeypatch.setattr("xray_infer.classifier.entry_points", lambda **asked: ())
    with pytest.raises(XrayError, match="pip install 'xray-infer\\[adapt\\]' again"):
        Classifier.adapt(films, tmp_path / "out.onnx")


def test_it_needs_neither_tensorflow_nor_scikit_learn(model, films, tmp_path):
    program = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'torch', 'sklearn', 'scipy'): sys.modules[name] = None\n"
        "from xray_infer.train.cli import main\n"
        f"main(['adapt', {str(films)!r}, '--model', {str(model)!r}, '--out', {str(tmp_path / 'o.onnx')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.onnx").exists()


def test_the_manifest_comes_back(run, tmp_path):
    run()
    manifest = read_onnx_manifest(tmp_path / "clinic.onnx")
    assert json.loads(manifest.to_json())["adaptation"]["films"] == {"sick": 16, "well": 16}
    assert "adaptation" not in json.loads(replace(manifest, adaptation=None).to_json())


def test_a_file_can_be_adapted_again(run, tmp_path):
    run()
    plant_films(tmp_path / "three", names=("a", "b", "c"))
    result = run("--model", tmp_path / "clinic.onnx", data=tmp_path / "three", out=tmp_path / "again.onnx")
    assert result.exit_code == 0, result.output
    manifest = read_onnx_manifest(tmp_path / "again.onnx")
    assert manifest.class_names == ("a", "b", "c")
    assert manifest.adaptation.parent == "clinic.onnx"


def test_the_clinics_films_are_strange_no_more(model, films, tmp_path):
    """The alarm of the parent knows films of one texture alone."""
    from xray_infer.model.alarm_fitting import KnownFilms, fit_alarm

    known = np.stack([film(2, number)[..., None] for number in range(400)])
    features = find_model(model).open().run(known).features
    place = ["old"] * len(known)
    reference = fit_alarm(KnownFilms(features, place, place, [str(number) for number in range(len(known))]))
    parent = texture_model(tmp_path / "parent.onnx", alarm=reference.to_record())
    new = [png(film(kind, 200 + number)) for kind in (0, 1) for number in range(25)]
    adapted = adapt(AdaptRequest(labelled=films, out=tmp_path / "clinic.onnx", model=parent)).path
    verdicts = []
    for path in (parent, adapted):
        with Classifier(path, options=EngineOptions(ood_threshold=np.inf)) as classifier:
            verdicts.append(classifier.alarm(classifier.predict_many(new)))
    assert [one.status for one in verdicts] == [STRANGE, USUAL]
    names = read_onnx_manifest(adapted).alarm.names
    assert names == ("old, old", "clinic, sick", "clinic, well")
    assert read_onnx_manifest(adapted).alarm.accuracy is None


def test_a_fitted_head_is_not_judged_on_films_that_it_may_know(run, tmp_path):
    run()
    assert run("--model", tmp_path / "clinic.onnx", out=tmp_path / "again.onnx").exit_code == 0
    beside = read_onnx_manifest(tmp_path / "again.onnx").adaptation.beside
    assert not any("old head" in name for name in beside)
