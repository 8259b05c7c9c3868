"""The report of a training run, from made-up answers to pictures made here."""

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from approved import approved
from specimens import HtmlPage, png

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.model.json_records import from_json
from xray_infer.study import metrics
from xray_infer.study.intervals import bootstrap_mean, percent, wilson_interval
from xray_infer.train.data.yardsticks import Score, Yardstick

pytest.importorskip("matplotlib")
from xray_infer.study.document import to_markdown
from xray_infer.train.predictions import MethodResult, Predictions
from xray_infer.train.report import write_report
from xray_infer.train.report.figures import measure_run
from xray_infer.train.report.plots import confusion_matrix, learning_curves, reliability, roc_curves
from xray_infer.train.report.training_page import build_page

SAYS = approved("xray-train")

IMAGES = 60
TEMPERATURE = 1.7
FACTS = {
    "config": {"weights": "none", "batch_size": np.int64(8), "patience": None},
    "data_sha256": "0123456789abcdef" * 4,
    "counts": {split: dict.fromkeys(CLASS_NAMES, 20) for split in ("train", "val", "test")},
    "seed": 7,
    "versions": {"python": "3.11.0", "keras": "3.15.0"},
}
YARDSTICKS = [
    Yardstick(
        "source alone",
        *(Score(IMAGES, share, (share - 0.1, share + 0.1), ((20, 0, 0),) * 3) for share in (0.5, 0.625)),
    )
]
AWKWARD = "a|b <script>$x$ ward [1].png"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pictures of several shapes; the first has a name that Markdown, HTML and TeX would read otherwise."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number in range(IMAGES):
        shape = (20, 40) if number % 2 else (300, 200)
        path = folder / (f"{number:02}.png" if number else AWKWARD)
        path.write_bytes(png(np.full(shape, 3 * number, np.uint8)))
        paths.append(path)
    return tuple(paths)


def predict(files, *, seed, skill):
    """Answers that are right the more often the larger `skill` is; the first is the worst error of all."""
    rng = np.random.default_rng(seed)
    labels = np.arange(IMAGES) % 3
    logits = rng.normal(size=(IMAGES, 3))
    logits[np.arange(IMAGES), labels] += skill
    logits[0] = [0, 30, 0]
    sources = tuple(("", "hospital a", "hospital b")[number // 20] for number in range(IMAGES))
    groups = tuple("" if number < 30 else f"g{number // 5}" for number in range(IMAGES))
    return Predictions(files, labels, logits, sources, groups, CLASS_NAMES)


def result_of(method, files, *, skill):
    return MethodResult(
        method=method,
        schedule={"optimizer": "Adam", "epochs": 2, "learning_rate": 1e-3, "cosine_decay": False},
        history=[
            {"loss": 1.0 / epoch, "accuracy": 0.5, "val_loss": 1.1 / epoch, "val_accuracy": 0.4}
            for epoch in (1, 2)
        ],
        temperature=TEMPERATURE,
        wall_seconds=3725.0,
        validation=predict(files, seed=1, skill=skill),
        test=predict(files, seed=2, skill=skill),
    )


@pytest.fixture(scope="module")
def pair(files):
    return [
        result_of("feature_extraction", files, skill=0.5),
        result_of("fine_tuning", files, skill=6.0),
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory, pair):
    """The folder and the text of a run of both methods."""
    out = tmp_path_factory.mktemp("run") / "new"
    return out, write_report(out, pair, FACTS, YARDSTICKS)


def page_of(results, facts=FACTS):
    """The page's Markdown without its pictures, which take a second to draw."""
    return to_markdown(build_page(measure_run(results, facts)))


def read(out):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads((out / "report.json").read_text(), parse_constant=refuse)


def test_a_run_writes_these_files_and_no_others(written):
    out, text = written
    kinds = ("confusion", "learning_curves", "reliability", "roc", "worst_errors")
    names = [
        f"plots/{method}_{kind}.png" for method in ("feature_extraction", "fine_tuning") for kind in kinds
    ]
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert found == sorted([*names, "report.html", "report.json", "report.md"])
    assert (out / "report.md").read_text() == text
    assert sorted(re.findall(r"\]\((.*?)\)", text)) == sorted(names)
    for name in names:
        assert cv2.imread(str(out / name)).shape[1] > 400
        assert RESEARCH_NOTICE.encode() in (out / name).read_bytes()


def test_domains_come_before_the_comparison_where_they_are_known(pair):
    """Two of three sources as domains; the images without a domain are in no pair."""
    assert "ithin domains" not in page_of(pair)
    known = [
        replace(
            result,
            validation=replace(result.validation, domains=result.validation.sources),
            test=replace(result.test, domains=result.test.sources),
        )
        for result in pair
    ]
    page = page_of(known)
    assert page.index("AUROC within domains, validation") < page.index("accuracy (Wilson 95 %)")
    assert page.index("## Within domains") < page.index("## The two methods compared")
    assert "| hospital a | covid, pneumonia | 7 + 6 |" in page
    assert "| mean of the pairs |  |  |" in page
    assert "Images without a domain, in no pair: 20." in page
    figures = measure_run(known, FACTS).to_dict()["methods"]["fine_tuning"]["test"]["within_domains"]
    expected = known[1].test.within_domains()
    assert figures["mean"]["value"] == expected.mean.value
    assert len(figures["pairs"]) == len(expected.pairs) == 6
    assert measure_run(pair, FACTS).to_dict()["methods"]["fine_tuning"]["test"]["within_domains"] is None


def test_figures_agree_with_metrics_worked_out_apart(written, pair):
    record = read(written[0])
    assert record["schema_version"] == 1
    assert record["notice"] == RESEARCH_NOTICE
    assert list(record["methods"]) == ["feature_extraction", "fine_tuning"]
    for result in pair:
        method = record["methods"][result.method]
        assert method["history"] == result.history
        assert method["schedule"] == result.schedule
        assert (method["temperature"], method["wall_seconds"]) == (TEMPERATURE, 3725)
        for name in ("validation", "test"):
            split, figures = getattr(result, name), method[name]
            probabilities = metrics.softmax(split.logits, TEMPERATURE)
            measured = json.loads(
                json.dumps(metrics.measure(split.labels, probabilities, CLASS_NAMES).to_dict())
            )
            assert {key: figures[key] for key in measured} == measured
            hits = probabilities.argmax(axis=1) == split.labels
            assert figures["accuracy"] == hits.mean()
            assert figures["accuracy_group_interval"] == pytest.approx(bootstrap_mean(hits, split.groups))
            assert (figures["groups"], figures["images_without_group"]) == (6, 30)
            for when, temperature in (("before", 1.0), ("after", TEMPERATURE)):
                answers = metrics.softmax(split.logits, temperature)
                found = figures["calibration"][when]
                assert found["temperature"] == temperature
                assert found["brier_score"] == pytest.approx(metrics.brier_score(split.labels, answers))
                assert found["expected_calibration_error"] == pytest.approx(
                    metrics.expected_calibration_error(metrics.reliability_bins(split.labels, answers))
                )
                assert sum(one["images"] for one in found["bins"]) == IMAGES


def test_facts_are_kept_as_json_types(written):
    expected = {**FACTS, "config": {"weights": "none", "batch_size": 8, "patience": None}}
    assert read(written[0])["facts"] == expected
    for text in ("0123456789abcdef" * 4, "seed | 7", "python 3.11.0", "counts, val | covid 20", "2 h 4 min"):
        assert text in written[1]


def test_a_long_configuration_gets_a_row_for_each_value(pair):
    config = {f"option_{number}": number for number in range(9)}
    text = page_of(pair[:1], {"config": config})
    assert all(f"| config, option {number} | {number} |" in text for number in range(9))


def test_sources(written, pair):
    out, text = written
    split = pair[1].test
    rows = read(out)["methods"]["fine_tuning"]["test"]["sources"]
    assert [row["source"] for row in rows] == ["", "hospital a", "hospital b"]
    for number, row in enumerate(rows):
        part = slice(20 * number, 20 * number + 20)
        hits = int(split.hits[part].sum())
        assert (row["images"], row["hits"], row["accuracy"]) == (20, hits, hits / 20)
        assert list(row["labels"].values()) == np.bincount(split.labels[part]).tolist()
        assert row["accuracy_interval"] == list(wilson_interval(hits, 20))
    right = int(pair[0].test.hits[20:40].sum())
    assert f"| hospital a | 7 | 6 | 7 | {100 * right / 20:.1f} % (" in text
    assert "| not known | 7 | 7 | 6 |" in text


def test_unknown_sources_are_said_to_be_unknown(pair):
    test = replace(pair[0].test, sources=("",) * IMAGES)
    text = page_of([replace(pair[0], test=test)])
    assert SAYS["does-not-say-where"] in text
    assert "Test split by source" not in text


def test_accuracies_stand_beside_the_yardsticks(written, pair):
    out, text = written
    (stored,) = read(out)["yardsticks"]
    assert from_json(Yardstick, stored) == YARDSTICKS[0]
    table = text[text.index("Accuracy with Wilson's") :].split("\n\n")[1].splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == [
        "| feature extraction",
        "| fine tuning",
        "| source alone",
    ]
    assert table[-1] == "| source alone | 50.0 % (40.0 to 60.0) | 62.5 % (52.5 to 72.5) |"
    assert percent(np.mean(pair[1].test.hits)) in table[3]
    assert "What needs no lungs" not in page_of(pair)


def test_two_methods_are_compared_with_mcnemar(written, pair):
    out, text = written
    first, second = (result.test.hits for result in pair)
    comparison = read(out)["comparison"]
    assert (comparison["first"], comparison["second"]) == ("feature_extraction", "fine_tuning")
    assert comparison["only_second_right"] == (second & ~first).sum() > 20
    assert comparison["both_right"] + comparison["only_first_right"] == first.sum()
    assert comparison["p_value"] == metrics.mcnemar(first, second).p_value < 0.001
    assert comparison["finding"] == "difference found"
    assert SAYS["difference-found-fine-tuning"] in text


def test_no_difference_is_not_called_equality(pair):
    results = [pair[1], replace(pair[1], method="feature_extraction")]
    text = page_of(results)
    assert measure_run(results, FACTS).to_dict()["comparison"]["finding"] == "no difference found"
    assert SAYS["no-difference-found-mcnemar"] in text
    assert not re.search(SAYS["the-same-lossless-identical"], text, re.I)


def test_methods_on_different_images_are_not_compared(tmp_path, pair):
    other = replace(pair[1].test, files=pair[1].test.files[::-1])
    with pytest.raises(ValueError, match="different images"):
        write_report(tmp_path, [pair[0], replace(pair[1], test=other)], FACTS)
    with pytest.raises(ValueError, match="one or two methods"):
        write_report(tmp_path, [pair[0], pair[0]], FACTS)


def test_one_method_alone_has_no_comparison(tmp_path, pair):
    text = write_report(tmp_path, pair[1:], FACTS)
    assert read(tmp_path)["comparison"] is None
    assert "fine tuning" in text
    for file in ("report.md", "report.html"):
        page = (tmp_path / file).read_text()
        assert "McNemar" not in page
        assert "feature extraction" not in page


def test_html_is_one_file_that_loads_nothing(written):
    text = (written[0] / "report.html").read_text()
    page = HtmlPage(text)
    assert not re.search(r"https?://|url\(|@import", text)
    assert not {"script", "link", "iframe", "object"} & {name for name, _ in page.elements}
    images = page.all("img")
    assert len(images) == 10
    assert all(image["src"].startswith("data:image/png;base64,iVBOR") for image in images)
    assert all(len(image["alt"]) > 40 for image in images)
    assert len({image["alt"] for image in images}) == 10
    assert page.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert len(page.all("table")) == len(page.all("caption")) == len(page.all("div")) - 4 - 2


def test_every_page_says_what_it_is_for_and_on_how_many_images(written):
    out, text = written
    html = HtmlPage((out / "report.html").read_text()).text
    for page in (text, html):
        assert RESEARCH_NOTICE in page
        assert "n = 60 images" in page
        assert SAYS["wilson-intervals-treat-images"] in page
        assert "resamples 36 groups" in page  # 6, and the 30 images without one


def test_class_table_shows_intervals(written):
    figures = read(written[0])["methods"]["fine_tuning"]["test"]["classes"]["pneumonia"]
    low, high = figures["recall_interval"]
    assert f"{100 * figures['recall']:.1f} % ({100 * low:.1f} to {100 * high:.1f})" in written[1]
    assert f"| {figures['f1']:.3f} | {figures['auroc']:.3f} |" in written[1]


def test_worst_errors_are_the_surest_wrong_answers(written, pair):
    record = read(written[0])
    for result in pair:
        probabilities = metrics.softmax(result.test.logits, TEMPERATURE)
        wrong = np.sort(probabilities.max(axis=1)[~result.test.hits])[::-1][:24]
        errors = record["methods"][result.method]["worst_errors"]
        assert [error["probability"] for error in errors] == pytest.approx(wrong.tolist())
        assert (errors[0]["file"], errors[0]["label"], errors[0]["predicted"]) == (
            AWKWARD,
            "covid",
            "pneumonia",
        )
        for error in errors:
            assert error["file"] == result.test.files[error["index"]].name
            assert CLASS_NAMES.index(error["label"]) == result.test.labels[error["index"]]
    assert len(record["methods"]["feature_extraction"]["worst_errors"]) == 24


def test_names_from_the_data_are_escaped(written):
    out, text = written
    assert r"| a\|b \<script>$x$ ward \[1\].png | covid | pneumonia | 100.0 % | not known |" in text
    html = (out / "report.html").read_text()
    assert "<script" not in html
    assert AWKWARD in HtmlPage(html).text


def test_a_missing_file_does_not_end_the_report(tmp_path, pair):
    test = replace(pair[0].test, files=(tmp_path / "gone.png", *pair[0].test.files[1:]))
    text = write_report(tmp_path / "run", [replace(pair[0], test=test)], FACTS)
    assert "| gone.png | covid | pneumonia | 100.0 % |" in text
    assert len(HtmlPage((tmp_path / "run/report.html").read_text()).all("img")) == 5


def test_a_method_without_errors_on_two_classes_and_with_a_loss_that_is_not_finite(tmp_path, pair):
    keep = pair[0].test.labels != 2
    test = Predictions(
        files=tuple(file for file, kept in zip(pair[0].test.files, keep, strict=True) if kept),
        labels=pair[0].test.labels[keep],
        logits=np.eye(3)[pair[0].test.labels[keep]] * 9,
        sources=("",) * int(keep.sum()),
        groups=("",) * int(keep.sum()),
        classes=CLASS_NAMES,
    )
    history = [{**pair[0].history[0], "loss": float("nan"), "learning_rate": np.float32(0.5)}]
    text = write_report(tmp_path, [replace(pair[0], test=test, history=history)], FACTS)
    record = read(tmp_path)["methods"]["feature_extraction"]
    assert record["history"][0]["loss"] is None
    assert record["history"][0]["learning_rate"] == 0.5
    assert record["test"]["classes"]["normal"]["auroc"] is None
    assert "| undefined |" in text
    assert SAYS["no-errors-on-test"] in text
    assert not (tmp_path / "plots/feature_extraction_worst_errors.png").exists()
    assert "worst_errors" not in text


def test_predictions_of_unequal_length_are_refused(pair):
    with pytest.raises(ValueError, match="one entry per image"):
        replace(pair[0].test, groups=("",))


def test_plots_show_the_figures(pair):
    test = pair[0].test
    measured = metrics.measure(test.labels, metrics.softmax(test.logits, TEMPERATURE), CLASS_NAMES)
    before, after = (metrics.calibration(test.labels, test.logits, value) for value in (1.0, TEMPERATURE))

    (matrix,) = confusion_matrix("x", measured).axes
    cells = [text.get_text() for text in matrix.texts]
    assert [int(cell.split("\n")[0]) for cell in cells] == np.ravel(measured.confusion).tolist()

    (roc,) = roc_curves("x", test, TEMPERATURE).axes
    labels = [text.get_text() for text in roc.get_legend().get_texts()]
    assert labels[1:] == [f"{name}: AUROC {one.auroc:.3f}" for name, one in measured.classes.items()]

    upper, lower = reliability("x", before, after, classes=3).axes
    legend = " ".join(text.get_text() for text in upper.get_legend().get_texts())
    assert f"T = 1.7, ECE {after.expected_calibration_error:.3f}" in legend
    assert lower.lines[1].get_ydata().tolist() == [one.images for one in after.bins]

    loss, accuracy = learning_curves("x", pair[0].history).axes
    assert loss.lines[1].get_ydata().tolist() == [1.1, 0.55]
    assert accuracy.lines[0].get_ydata().tolist() == [0.5, 0.5]
