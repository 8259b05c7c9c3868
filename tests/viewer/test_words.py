"""What the viewer says of answers and models, in words."""

import pytest
from approved import approved
from specimens import example_adaptation, example_manifest

from xray_infer.classifier import Prediction
from xray_infer.images.preprocess import Area
from xray_infer.model.choice import shipped_model
from xray_infer.model.embedding import read_onnx_manifest
from xray_infer.run.results import Row, RowMaker, Rules
from xray_infer.viewer.words import (
    confidence_of,
    detail_of,
    label_of,
    model_of,
    precision_of,
    verdict_of,
)

SAYS = approved("xray-view")


def judged(chances=(0.7, 0.2, 0.1), score=1.0, rules=Rules(2.0)) -> Prediction:  # noqa: B008  frozen
    return Prediction(RowMaker("m", "0" * 64, "r 1", rules).judged("a.png", chances, score))


def of_lungs(area, version=2, **rules) -> Prediction:
    maker = RowMaker("m", "0" * 64, "r 1", Rules(**rules), version)
    return Prediction(maker.judged("a.png", (0.7, 0.2, 0.1), 1.0, area))


def failed(status, reason) -> Prediction:
    return Prediction(Row("a.png", status, "m", "0" * 64, "r 1", reason=reason))


def test_what_was_judged_whole_for_want_of_lungs_says_so():
    box = Area(0.1, 0.1, 0.9, 0.9)
    assert verdict_of(of_lungs(None), Rules(None)).endswith(SAYS["no-limit-is-set-no-lungs"])
    for other in (of_lungs(box), of_lungs(None, version=1), failed("error", "the file is empty")):
        assert "lungs" not in verdict_of(other, Rules(2.0))
    rejected = verdict_of(of_lungs(None, ood_threshold=2.0), Rules(2.0))
    assert rejected == SAYS["not-classified-no-lungs"]


def test_the_box_is_of_lungs_that_were_found():
    box = Area(0.1, 0.1, 0.9, 0.9)
    assert of_lungs(box).lungs == box
    assert of_lungs(box, ood_threshold=0.5).lungs == box  # also of what is rejected for its score
    for other in (of_lungs(None), of_lungs(None, version=1), failed("error", "the file is empty")):
        assert other.lungs is None


@pytest.mark.parametrize(
    ("prediction", "label", "detail", "verdict"),
    [
        (judged(), "covid", "70.0%", "Like the training images: out-of-distribution score 1.00, limit 2.00."),
        (
            judged(score=3.0),
            "not classified",
            "unlike the training images: out-of-distribution score 3.000, limit 2.000",
            "Not classified: unlike the training images: out-of-distribution score 3.000, limit 2.000.",
        ),
        (
            failed("rejected", "not a frontal view: LL"),
            "not classified",
            "not a frontal view: LL",
            "Not classified: not a frontal view: LL.",
        ),
        (
            failed("error", "the file is empty"),
            "could not be read",
            "the file is empty",
            "Could not be read: the file is empty.",
        ),
        (
            judged(rules=Rules(2.0, min_confidence=0.9)),
            "uncertain",
            "covid 70.0%",
            "Like the training images: out-of-distribution score 1.00, limit 2.00. "
            "Uncertain: confidence 0.700 is below 0.900.",
        ),
    ],
)
def test_an_answer_in_words(prediction, label, detail, verdict):
    assert (label_of(prediction), detail_of(prediction)) == (label, detail)
    assert verdict_of(prediction, Rules(2.0)) == verdict


def test_what_has_no_answer_yet_waits():
    assert (label_of(None), detail_of(None)) == ("waiting", "")


def test_without_a_score_or_a_limit_it_says_so():
    assert verdict_of(judged(score=None), Rules(None)).startswith(SAYS["this-model-cannot-tell"])
    for limit in (None, float("inf")):
        assert SAYS["score-no-limit-is"] in verdict_of(judged(), Rules(limit))


def test_the_shipped_model_says_what_is_known_of_it():
    manifest = read_onnx_manifest(shipped_model("onnx").path)
    test = manifest.training.test
    lines = "\n".join(model_of(manifest))
    assert f"Accuracy {test.accuracy:.1%} (95% interval" in lines
    assert f"on {test.images:,} test images." in lines
    for name, found in test.classes.items():
        assert f"Sensitivity for {name}: {found.recall:.0%} (95% interval" in lines
        precision = precision_of(name, manifest)
        assert SAYS["of-the-test-images"].format(name=name, value=found.precision) in precision
        assert SAYS["of-all-test-images"].format(value=found.support / test.images, name=name) in precision
    assert SAYS["expect-lower-accuracy-on"] in lines
    known = f"calibrated on {manifest.training.validation.images:,} validation images"
    if manifest.confidence is not None:
        known = f"fitted to {manifest.confidence.images:,} images of domains left out"
        assert f"were right on {manifest.confidence.accuracy_of_all:.0%} of the images of these" in lines
    assert known in confidence_of(judged(), manifest)
    assert confidence_of(judged(score=9.0), manifest) == ""


def test_a_file_that_says_little_is_no_error():
    manifest = example_manifest()
    assert list(model_of(manifest)) == ["tiny 0, fp32, onnx"]
    assert precision_of("covid", manifest) == precision_of("uncertain", manifest) == ""
    assert confidence_of(judged(), manifest) == "Confidence 70.0%, temperature 1.00"


def test_a_head_that_was_fitted_to_own_films():
    told = example_adaptation(doubts=("too few",))
    lines = list(model_of(example_manifest(adaptation=told)))
    assert SAYS["its-head-was-fitted"] in lines[1]
    assert "81.3% (95% interval 70 to 90%)" in lines[1]
    assert lines[2:] == ["Pixels: 61.0%.", "Against this was told: too few."]
