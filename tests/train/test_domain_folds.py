"""Leave-one-domain-out: what a fold may see, and one whole run that is stopped and goes on."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import png, quick_config

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.model.json_records import from_json
from xray_infer.model.manifest import METHODS
from xray_infer.model.manifest_parts import Confidence
from xray_infer.study.datasets import Dataset, LabelledImage, read_dataset
from xray_infer.study.domains import LeaveOneDomainOut
from xray_infer.study.temperature import at_temperature
from xray_infer.study.training_record import read_training_record
from xray_infer.train.predictions import read_predictions

SAYS = approved("xray-train")

pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow

# Two classes a domain, as hospitals have them.
DOMAINS = {"alpha": ("covid", "normal"), "beta": ("normal", "pneumonia"), "gamma": ("pneumonia", "covid")}
SPLITS = ("train",) * 6 + ("val",) * 2 + ("test",) * 2


@pytest.fixture(scope="module")
def three_domains(tmp_path_factory):
    """A manifest of three domains with two classes of ten films each, and one film of no domain."""
    folder = tmp_path_factory.mktemp("domains")
    rng = np.random.default_rng(0)
    rows = []
    for domain, names in DOMAINS.items():
        for name in names:
            for number, split in enumerate(SPLITS):
                level = (60, 190, 120)[CLASS_NAMES.index(name)] + 10 * list(DOMAINS).index(domain)
                noise = rng.normal(0, 20, (8, 8))
                pixels = cv2.resize(np.clip(level + noise, 0, 255).astype(np.uint8), (60, 60))
                file = f"{domain}-{name}-{number}.png"
                (folder / file).write_bytes(png(pixels))
                rows.append({"file": file, "label": name, "split": split, "domain": domain})
    rows.append({**rows[0], "file": "nowhere.png", "domain": ""})
    (folder / "nowhere.png").write_bytes(png(np.full((50, 50), 77, np.uint8)))
    with (folder / "manifest.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, ["file", "label", "split", "domain", "group_id"])
        table.writeheader()
        table.writerows({**row, "group_id": f"g{index // 2}"} for index, row in enumerate(rows))
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, three_domains):
    """Folds of all domains: stopped when the second begins, and then started again."""
    from tiny_classifier import UNFROZEN, build_tiny_classifier

    from xray_infer.train import trainer
    from xray_infer.train.evidence import EvidencePlan, gather

    out = tmp_path_factory.mktemp("evidence") / "out"
    schedule = quick_config().schedule
    schedule = replace(schedule, fine_tuning=replace(schedule.fine_tuning, unfrozen=UNFROZEN))
    config = quick_config(schedule=schedule, view_seed=0)
    plan = EvidencePlan(parts=("domains",))
    lines: list[str] = []

    def stop_at_the_second(line: str) -> None:
        lines.append(line)
        if line.startswith("without beta"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_classifier", build_tiny_classifier)
        with pytest.raises(KeyboardInterrupt):
            gather(three_domains, out, config, plan, report=stop_at_the_second)
        assert not (out / "evidence.json").exists()
        finished = {path: path.stat().st_mtime_ns for path in (out / "domains").rglob("*.keras")}
        assert len(finished) == 2
        page = gather(three_domains, out, config, plan, report=lines.append)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    return out, page, lines, config


def test_a_fold_sees_nothing_of_its_domain(evidence, three_domains):
    out, *_ = evidence
    known = {image.path.name: image for image in read_dataset(three_domains).images}
    for domain in DOMAINS:
        fold = read_dataset(out / "domains" / domain / "split.csv")
        for image in fold.images:
            assert (image.domain == domain) == (image.split == "test")
            if image.split != "test":
                assert known[image.path.name].split == image.split  # nor anything of the data's test split
        assert len(fold.split("test")) == 20  # train, val and test films of the domain
        assert len(fold.split("train")) == 24
        assert len(fold.split("val")) == 8
        assert "nowhere.png" not in {image.path.name for image in fold.images}
        for method in METHODS:
            record = read_training_record(out / "domains" / domain / f"{method}.json")
            assert record.facts.counts["test"] == fold.counts()["test"]
            assert record.test_within_domains.pairs[0].domain == domain
            assert record.test_within_domains.pairs[0].images == (10, 10)
            assert domain not in {pair.domain for pair in record.validation_within_domains.pairs}


def test_fine_tuning_begins_with_the_folds_own_head_and_trains_the_top(evidence):
    import keras

    out, *_ = evidence
    for domain in DOMAINS:
        before, after = (
            keras.saving.load_model(out / "domains" / domain / f"{method}.keras", compile=False)
            for method in METHODS
        )
        changed = {
            layer.name
            for layer, other in zip(before.layers, after.layers, strict=True)
            if not all(map(np.array_equal, layer.get_weights(), other.get_weights()))
        } - {"random_flip"}
        assert changed == {"conv2_conv", "probabilities"}


def test_all_folds_share_the_fixed_features(evidence):
    """Two boundaries, computed once for all images."""
    *_, lines, _ = evidence
    assert sum("views of images in" in line for line in lines) == 2
    assert lines.count(SAYS["domains-by-the-column"]) == 2
    assert lines.count(SAYS["without-alpha"]) == 2


def test_the_figures_are_those_of_the_kept_predictions(evidence, three_domains):
    out, *_ = evidence
    with (out / "domains" / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "id", "domain", "label", "group", "method", "temperature",
        "prob_covid", "prob_pneumonia", "prob_normal",
    ]  # fmt: skip
    assert len(rows) == 3 * 20 * 2
    listed = {row["file"]: row for row in csv.DictReader(three_domains.open(newline=""))}
    stored = json.loads((out / "evidence.json").read_text())
    found = from_json(LeaveOneDomainOut, stored["leave_one_domain_out"])
    assert (found.domains_from, found.images_without_domain, found.skipped) == ("domain", 1, {})
    whole = read_dataset(three_domains)
    used = replace(whole, images=tuple(image for image in whole.images if image.split))
    assert stored["data_sha256"] == used.digest
    for method, judged in found.methods.items():
        confidence = from_json(Confidence, stored["confidence"][method])
        assert (confidence.images, confidence.domains) == (60, tuple(DOMAINS))
        assert [one.domain for one in judged.domains] == list(DOMAINS)
        assert judged.mean.domains == tuple(DOMAINS)
        for one in judged.domains:
            mine = [row for row in rows if (row["domain"], row["method"]) == (one.domain, method)]
            for row in mine:
                assert listed[row["id"]]["label"] == row["label"]
                assert listed[row["id"]]["group_id"] == row["group"]
            probabilities = np.array([[float(row[f"prob_{name}"]) for name in CLASS_NAMES] for row in mine])
            labels = np.array([CLASS_NAMES.index(row["label"]) for row in mine])
            assert probabilities.sum(axis=1) == pytest.approx(1)
            assert {float(row["temperature"]) for row in mine} == {one.temperature}
            assert one.accuracy.value == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
            confidence = at_temperature(probabilities.astype(np.float32), one.temperature).max(axis=1)
            assert one.mean_confidence == pytest.approx(confidence.mean(), abs=1e-5)
            record = read_training_record(out / "domains" / one.domain / f"{method}.json")
            assert one.within.mean == record.test_within_domains.mean
            assert stored["folds"][one.domain][method] == json.loads(json.dumps(record.to_dict()))


def test_the_page_has_the_domains_first(evidence):
    out, page, *_ = evidence
    assert (out / "evidence.md").read_text() == page
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == ["# Evidence", "## Each domain left out"]
    assert SAYS["mean-over-the-domains"] in page
    for domain in DOMAINS:
        assert f"| {domain} | fine tuning | 20 |" in page
    assert page.index("calibration error |") < page.index("| labels said | right of these | right of all |")


def test_some_domains_and_one_method_by_the_command(evidence, three_domains):
    """What is trained already is read: nothing is left to do but the figures."""
    from xray_infer.train.cli import main

    out, _, _, config = evidence
    before = json.loads((out / "evidence.json").read_text())
    unfrozen = config.schedule.fine_tuning.unfrozen
    options = [
        "--parts",
        "domains",
        "--domains",
        "gamma, beta",
        "--methods",
        "fine-tuning",
        "--weights",
        "none",
    ]
    options += ["--side", str(config.preprocessing.side)]
    options += ["--epochs", "2", "1", "--batch-size", "8", "--views", "2", "--unfreeze", str(unfrozen)]
    arguments = ["evidence", str(three_domains), "--out", str(out), *options]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    after = json.loads((out / "evidence.json").read_text())["leave_one_domain_out"]
    assert list(after["methods"]) == ["fine_tuning"]
    assert [one["domain"] for one in after["methods"]["fine_tuning"]["domains"]] == ["gamma", "beta"]
    kept = before["leave_one_domain_out"]["methods"]["fine_tuning"]["domains"]
    assert after["methods"]["fine_tuning"]["domains"] == [kept[2], kept[1]]
    wrong = CliRunner().invoke(main, [*arguments[:-1], str(unfrozen + 1)])
    assert wrong.exit_code != 0
    assert SAYS["differs-in-schedule-fine-plain"] in wrong.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--domains", "delta"], "no domain 'delta'; the data has alpha, beta, gamma"),
        (["--parts", "folds"], "give one or more of domains, seeds, controls"),
    ],
)
def test_unknown_names_are_refused(three_domains, tmp_path, options, message):
    from xray_infer.train.cli import main

    arguments = [
        "evidence",
        str(three_domains),
        "--out",
        str(tmp_path / "out"),
        "--weights",
        "none",
        *options,
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code != 0
    assert message in done.output


def test_data_without_domains_is_refused_where_folds_are_asked_for(split_tree, tmp_path):
    from xray_infer.train.evidence import EvidencePlan, gather

    for plan in (EvidencePlan(domains=("alpha",)), EvidencePlan(parts=("domains",))):
        with pytest.raises(DataError, match=SAYS["leave-one-domain-out-cannot"]):
            gather(split_tree, tmp_path / "out", quick_config(), plan, report=lambda line: None)


def images(*rows):
    """Images by (domain, class, split, group, patient)."""
    return Dataset(
        tuple(
            LabelledImage(
                Path(f"{at}.png"), CLASS_NAMES.index(name), str(at), split, group, patient, "", domain
            )
            for at, (domain, name, split, group, patient) in enumerate(rows)
        ),
        CLASS_NAMES,
        domains_from="domain",
    )


def test_what_belongs_to_a_domains_patient_is_not_used_either():
    from xray_infer.train.domain_folds import without_domain

    data = images(
        ("a", "covid", "train", "g1", "p1"),
        ("b", "covid", "train", "g1", ""),
        ("b", "covid", "val", "", "p1"),
        ("b", "normal", "val", "g2", "p2"),
        ("b", "normal", "test", "", ""),
        ("", "normal", "train", "", ""),
    )
    fold = without_domain(data, "a")
    assert [image.split for image in fold.images] == ["test", "", "", "val", "", ""]
    assert [image.path for image in fold.images] == [image.path for image in data.images]


def test_a_domain_that_takes_a_class_with_it_is_skipped_and_named(tmp_path):
    from xray_infer.train.domain_folds import run_folds

    data = images(
        *(("a", name, "train", "", "") for name in CLASS_NAMES),
        *(("b", name, split, "", "") for name in ("covid", "normal") for split in ("train", "val")),
    )
    lines: list[str] = []
    found = run_folds(data, tmp_path, quick_config(), cache=tmp_path, report=lines.append)
    assert found.records == {}
    assert found.figures.skipped == {
        "a": "no other domain has training images of class 'pneumonia'",
        "b": "no other domain has validation images",
    }
    assert lines[1:] == [f"without {domain}: skipped, {why}" for domain, why in found.figures.skipped.items()]
    only = replace(data, images=data.images[:3])
    with pytest.raises(DataError, match="all images are of one domain by the column 'domain'"):
        run_folds(only, tmp_path, quick_config(), cache=tmp_path, report=lines.append)


def test_folders_of_domains_are_plain_and_differ():
    from xray_infer.train.domain_folds import folder_name

    assert folder_name("valencia-ricord") == "valencia-ricord"
    odd = ["a/b", "a b", "..", "", "ä", "x" * 300, "a.b", "con:", "a\\b"]
    found = [folder_name(name) for name in odd]
    assert len({name.lower() for name in found}) == len(odd)
    for name in found:
        assert Path(name).name == name
        assert name not in (".", "..")
        assert len(name) < 60


def test_predictions_of_earlier_versions_have_no_domain(evidence, tmp_path):
    out, *_ = evidence
    source = out / "domains" / "alpha" / "fine_tuning.predictions.csv"
    with source.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    old = tmp_path / "fine_tuning.predictions.csv"
    with old.open("w", newline="") as stream:
        table = csv.DictWriter(stream, [name for name in rows[0] if name != "domain"], extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    whole, without = (read_predictions(path)["test"] for path in (source, old))
    assert set(whole.domains) == {"alpha"}
    assert set(without.domains) == {""}
    assert np.array_equal(whole.logits, without.logits)
    assert without.within_domains() is None


def test_the_parts_are_those_of_the_command():
    from xray_infer.train.evidence import PARTS
    from xray_infer.train.fit_cli import EVIDENCE_PARTS

    assert PARTS == EVIDENCE_PARTS
