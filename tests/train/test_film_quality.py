"""Films of other qualities, and the weights by which domains count alike."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from places import SAMPLES
from specimens import quick_config

from xray_infer.model.manifest import METHODS
from xray_infer.study.domains import FULL_VOICE
from xray_infer.train.film_quality import SETTINGS, vary_qualities, vary_quality
from xray_infer.train.weighting import domain_weights


@pytest.fixture(scope="module")
def film():
    picture = cv2.imread(str(SAMPLES / "phantom_normal_1.png"), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA)[..., None]


def sharpness(film):
    return cv2.Laplacian(film[..., 0].astype(np.float32), cv2.CV_32F).std()


def test_qualities_differ_and_the_film_stays_what_it_shows(film):
    views = np.stack([vary_quality(film, np.random.default_rng(seed)) for seed in range(200)])
    assert views.shape == (200, 128, 128, 1)
    assert views.dtype == np.uint8
    unchanged = np.mean([np.array_equal(view, film) for view in views])
    assert 0 < unchanged < 0.08  # (1 - SHARE) ** 5 is 0.031
    sharp = np.array([sharpness(view) for view in views])
    assert sharp.min() < 0.5 * sharpness(film)
    assert sharp.max() > 1.05 * sharpness(film)  # noise and contrast
    means = views.mean(axis=(1, 2, 3))
    assert means.min() < film.mean() - 20
    assert means.max() > film.mean() + 20
    alike = [np.corrcoef(view.ravel(), film.ravel())[0, 1] for view in views]
    assert min(alike) > 0.9


@pytest.mark.parametrize("gray", [0, 255])
def test_a_blank_film_is_no_matter(gray):
    blank = np.full((32, 32, 1), gray, np.uint8)
    for seed in range(20):
        assert abs(vary_quality(blank, np.random.default_rng(seed)).mean() - gray) < 10


def test_a_films_quality_depends_on_its_row_and_not_on_its_batch(film):
    films = np.stack([film] * 5)
    whole = vary_qualities(films, np.arange(5), (3, 1))
    assert np.array_equal(whole[3:], vary_qualities(films[:2], np.array([3, 4]), (3, 1)))
    assert not np.array_equal(whole, vary_qualities(films, np.arange(5), (3, 2)))


def test_classes_and_domains_weigh_alike_and_a_handful_does_not():
    cells = {(0, "a"): 60, (0, "b"): 30, (1, "a"): 300, (2, "b"): 40, (2, "c"): 3}
    labels = np.concatenate([np.full(count, label) for (label, _), count in cells.items()])
    domains = [domain for (_, domain), count in cells.items() for _ in range(count)]
    weights = domain_weights(labels, domains)
    assert weights.dtype == np.float32
    assert weights.mean() == pytest.approx(1)
    total = {
        cell: weights[(labels == cell[0]) & (np.array(domains) == cell[1])].sum() / weights.sum()
        for cell in cells
    }
    assert total[0, "a"] == pytest.approx(1 / 6)
    assert total[0, "b"] == pytest.approx(1 / 6)
    assert total[1, "a"] == pytest.approx(1 / 3)
    voice = 3 / FULL_VOICE
    assert total[2, "c"] == pytest.approx(voice / (1 + voice) / 3)
    few = domain_weights(np.array([0] * 500 + [1] * 500 + [2] * 3), ["a"] * 500 + ["b"] * 503)
    assert few[-1] == pytest.approx(500 / FULL_VOICE * few[0])  # and not 500 / 3 times
    unnamed = domain_weights(np.array([0] * 60 + [1] * 30), [""] * 90)
    assert unnamed[0] / unnamed[-1] == pytest.approx(0.5)


def test_weights_reach_the_batches_and_are_blended_as_targets_are():
    pytest.importorskip("keras")
    from xray_infer.train.batches import BatchOptions, ImageViews, PlainBatches, TrainingBatches

    inputs = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1)
    labels, rows = np.arange(12) % 3, np.arange(12)
    weights = np.arange(12, dtype=np.float32)
    views = ImageViews(inputs)
    for options in (BatchOptions(4, 0, 3), BatchOptions(4, 0, 3, one_hot=True)):
        batches = TrainingBatches(views, labels, rows, options, weights=weights)
        for number in range(3):
            images, _, given = batches[number]
            assert np.array_equal(images.ravel(), given)
    mixed = TrainingBatches(views, labels, rows, BatchOptions(4, 0, 3, mixup=0.4), weights=weights)
    for number in range(3):
        images, targets, given = mixed[number]
        assert given == pytest.approx(images.ravel().astype(float), abs=0.5)  # integers are rounded
        assert targets.sum(axis=1) == pytest.approx(1)
    assert len(TrainingBatches(views, labels, rows, BatchOptions(4, 0, 3))[0]) == 2
    assert np.array_equal(
        PlainBatches(views, labels, rows, batch_size=5, weights=weights)[1][2], weights[5:10]
    )


def test_the_plain_path_varies_quality_from_epoch_to_epoch(film):
    pytest.importorskip("keras")
    from xray_infer.train.batches import ImageViews

    films, rows = np.stack([film] * 4), np.arange(4)
    views = ImageViews(films, quality_seed=0)
    first, second = views.view(rows, 0), views.view(rows, 1)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, ImageViews(films, quality_seed=0).view(rows, 0))
    assert np.array_equal(views.plain(rows), films)
    assert np.array_equal(ImageViews(films).view(rows, 0), films)


@pytest.mark.tensorflow
def test_a_run_is_trained_as_its_record_says(split_tree, tmp_path, monkeypatch):
    """Cached views have their own quality; where a domain has few films of a class, these weigh more."""
    pytest.importorskip("keras")
    from tiny_classifier import build_tiny_classifier

    from xray_infer.study.datasets import read_dataset
    from xray_infer.train import trainer, weighting
    from xray_infer.train.fit import train_dataset

    monkeypatch.setattr(trainer, "build_classifier", build_tiny_classifier)
    monkeypatch.setattr(weighting, "FULL_VOICE", 1)
    config = quick_config(methods=METHODS[:1], validation_only=True)  # no report, which takes a second
    listed = read_dataset(split_tree)
    named = (replace(one, domain="few" if one.path.stem == "0" else "many") for one in listed.images)
    dataset = replace(listed, images=tuple(named))
    results = {}
    for name, changes in {
        "as it is": {},
        "varied": {"varied_quality": True},
        "alike": {"domains_alike": True},
    }.items():
        changed = replace(config, schedule=replace(config.schedule, **changes))
        out = tmp_path / name
        train_dataset(dataset, out, changed, cache=tmp_path / "cache", report=lambda line: None)
        record = (out / "feature_extraction.json").read_text()
        assert f'"varied_quality": {str("varied" in name).lower()}' in record
        assert f'"domains_alike": {str("alike" in name).lower()}' in record
        results[name] = (out / "feature_extraction.predictions.csv").read_text()
    assert len(set(results.values())) == 3


@pytest.mark.tensorflow
def test_other_changes_are_other_views_of_the_cache(split_tree, tmp_path, monkeypatch):
    pytest.importorskip("keras")
    from tiny_classifier import build_tiny_classifier

    from xray_infer.study.datasets import read_dataset
    from xray_infer.train import trainer
    from xray_infer.train.fit import train_dataset

    monkeypatch.setattr(trainer, "build_classifier", build_tiny_classifier)
    config = quick_config(methods=METHODS[:1], validation_only=True)
    config = replace(config, schedule=replace(config.schedule, varied_quality=True))
    dataset, cache = read_dataset(split_tree), tmp_path / "cache"
    for name in ("one", "two"):
        train_dataset(dataset, tmp_path / name, config, cache=cache, report=lambda line: None)
        stored = {path.parent.name for path in cache.rglob("view-0.npy")}
        monkeypatch.setitem(SETTINGS, "noise", (0.0, 9.0))
    assert len(stored) == 2
