"""The parts of training that need no network of full size: stores, batches, calibration, regions, logs."""

import re

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from training_records import DAMAGES, example_record

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.study.training_record import write_training_record

SAYS = approved("xray-train")


class Killed(Exception):
    pass


def compute_squares(calls):
    """A stand-in for a network: features that tell their view and row."""

    def compute(view):
        def chunk_features(chunk, rows):
            calls.append((view, chunk))
            numbers = np.arange(rows.start, rows.stop, dtype=np.float32)
            return np.stack([numbers, np.full_like(numbers, view)], axis=1)

        return chunk_features

    return compute


def open_and_fill(folder, compute, plain_from=200):
    from xray_infer.train.fixed_part.stores import fill_stores, open_stores

    stores = open_stores(folder, views=2, shape=(300, 2))
    fill_stores(
        stores,
        train=np.arange(200),
        plain=np.arange(plain_from, 300),
        compute=compute,
        report=lambda line: None,
    )
    return stores


def test_features_are_computed_once_and_go_on_after_a_kill(tmp_path):
    pytest.importorskip("keras")
    calls: list = []
    compute = compute_squares(calls)

    def die_in_fourth_chunk(view):
        inner = compute(view)

        def chunk_features(chunk, rows):
            if len(calls) == 3:
                raise Killed
            return inner(chunk, rows)

        return chunk_features

    with pytest.raises(Killed):
        open_and_fill(tmp_path, die_in_fourth_chunk)
    stores = open_and_fill(tmp_path, compute)
    # Rows 200 to 300 are in chunks 3 and 4 of view 0, rows up to 200 in chunks 0 to 3 of views 1 and 2.
    expected = [(0, 3), (0, 4), *((view, chunk) for view in (1, 2) for chunk in range(4))]
    assert calls == expected
    for view, store in enumerate(stores):
        rows = slice(200, 300) if view == 0 else slice(0, 200)
        assert np.array_equal(store.features[rows, 0], np.arange(300)[rows])
        assert np.all(store.features[rows, 1] == view)
    open_and_fill(tmp_path, compute)
    assert calls == expected


def test_each_image_goes_through_all_views_in_turn(tmp_path):
    pytest.importorskip("keras")
    from xray_infer.train.fixed_part.stores import FeatureViews

    views = FeatureViews(open_and_fill(tmp_path, compute_squares([])), seed=3)
    rows = np.array([5, 190, 7, 0])
    first, second, third = (views.view(rows, epoch) for epoch in range(3))
    assert np.array_equal(first[:, 0], rows)
    assert np.array_equal(np.sort([first[:, 1], second[:, 1]], axis=0), [[1] * 4, [2] * 4])
    assert np.array_equal(first, third)
    everyone = views.view(np.arange(200), 0)[:, 1]
    assert 60 < np.sum(everyone == 1) < 140  # they do not start with the same view
    assert np.all(views.plain(np.array([250, 299])) == [[250, 0], [299, 0]])


def test_originals_are_one_of_the_views_or_all_of_them(tmp_path):
    pytest.importorskip("keras")
    from xray_infer.train.fixed_part.stores import FeatureViews, OriginalViews

    stores = open_and_fill(tmp_path, compute_squares([]), plain_from=0)
    views = FeatureViews(stores, seed=3, originals=True)
    rows = np.arange(200)
    seen = np.sort([views.view(rows, epoch)[:, 1] for epoch in range(3)], axis=0)
    assert np.array_equal(seen, np.repeat([[0], [1], [2]], 200, axis=1))
    for epoch in range(3):
        assert np.all(OriginalViews(views).view(rows, epoch) == np.stack([rows, 0 * rows], axis=1))


def test_batches_depend_on_seed_and_epoch_alone():
    pytest.importorskip("keras")
    from xray_infer.train.batches import BatchOptions, ImageViews, TrainingBatches

    inputs = np.arange(20, dtype=np.uint8).reshape(20, 1)
    labels = np.arange(20) % 3
    rows = np.arange(2, 20)

    def batches(first_epoch, **changes):
        options = BatchOptions(batch_size=8, seed=4, classes=3, **changes)
        return TrainingBatches(ImageViews(inputs), labels, rows, options, first_epoch=first_epoch)

    undisturbed = batches(0)
    undisturbed.on_epoch_end()
    resumed = batches(1)
    assert len(resumed) == 3
    seen = []
    for index in range(3):
        mine, theirs = resumed[index], undisturbed[index]
        assert np.array_equal(mine[0], theirs[0])
        assert np.array_equal(labels[mine[0].ravel()], mine[1])
        seen += mine[0].ravel().tolist()
    assert sorted(seen) == rows.tolist()
    assert seen != [int(value) for index in range(3) for value in batches(0)[index][0].ravel()]

    mixed, targets = batches(0, mixup=0.4)[0]
    assert mixed.dtype == np.uint8
    assert targets.shape == (8, 3)
    assert targets.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert np.any((targets > 0) & (targets < 1))
    assert np.array_equal(mixed, batches(0, mixup=0.4)[0][0])


@pytest.mark.parametrize(("side", "margin"), [(224, 28), (64, 8)])
def test_border_and_centre_are_the_whole_between_them(side, margin):
    pytest.importorskip("keras")
    from xray_infer.train.inputs import keep_region

    inputs = np.random.default_rng(0).integers(1, 256, (2, side, side, 1)).astype(np.uint8)
    border, centre = keep_region(inputs, "border"), keep_region(inputs, "centre")
    assert np.array_equal(border + centre, inputs)
    assert not np.any((border > 0) & (centre > 0))
    assert np.all(border[:, :margin] == inputs[:, :margin])
    assert np.all(border[:, margin:-margin, margin:-margin] == 0)
    assert keep_region(inputs, "all") is inputs
    with pytest.raises(DataError, match="unknown region 'middle'"):
        keep_region(inputs, "middle")


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_the_temperature_undoes_over_and_underconfidence(factor):
    from xray_infer.study.metrics import softmax
    from xray_infer.study.temperature import fit_temperature

    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (20_000, 3))
    drawn = rng.random((20_000, 1)) < softmax(logits).cumsum(axis=1)
    labels = drawn.argmax(axis=1)
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor, rel=0.05)


def test_predictions_come_back_exactly(tmp_path):
    from xray_infer.train.predictions import Predictions, read_predictions, write_predictions

    rng = np.random.default_rng(3)
    written = Predictions(
        files=(tmp_path / 'a "1".png', tmp_path / "b,\n2.png"),
        labels=np.array([2, 0]),
        logits=rng.normal(size=(2, 3)),
        sources=("somewhere", ""),
        groups=("", "g1"),
        classes=CLASS_NAMES,
    )
    write_predictions(tmp_path / "p.csv", {"val": written, "test": written})
    read = read_predictions(tmp_path / "p.csv")
    assert list(read) == ["val", "test"]
    for one in read.values():
        assert np.array_equal(one.logits, written.logits)
        assert np.array_equal(one.labels, written.labels)
        assert (one.files, one.sources, one.groups) == (written.files, written.sources, written.groups)


def write_run(folder, labels, logits, **configuration):
    from xray_infer.train.predictions import Predictions, write_predictions
    from xray_infer.train.schedule import write_identity

    folder.mkdir()
    write_identity(folder, {"data_sha256": "d", "seed": 0} | configuration)
    write_training_record(folder / "fine_tuning.json", example_record(temperature=2.0))
    blank = ("",) * len(labels)
    files = tuple(folder / str(number) for number in range(len(labels)))
    one = Predictions(files, np.array(labels), np.array(logits, float), blank, blank, CLASS_NAMES)
    write_predictions(folder / "fine_tuning.predictions.csv", {"val": one})


def test_runs_are_compared_by_what_differs(tmp_path):
    from xray_infer.train.compare import compare_runs

    right, wrong = [[4, 0, 0]], [[0, 4, 0]]
    write_run(tmp_path / "a", [0] * 10, right * 8 + wrong * 2, views=1)
    write_run(tmp_path / "b", [0] * 10, right * 5 + wrong * 5, views=3)
    lines = compare_runs([tmp_path / "a", tmp_path / "b"]).splitlines()
    assert lines[2] == "| run | views | feature extraction | fine tuning |"
    odds = np.exp([2, 0, 0]) / np.exp([2, 0, 0]).sum()
    loss = -(0.8 * np.log(odds[0]) + 0.2 * np.log(odds[1]))
    assert lines[4] == f"| a | 1 |  | 80.0 % (49.0 to 94.3), loss {loss:.3f} |"
    assert lines[5].startswith("| b | 3 |  | 50.0 % (23.7 to 76.3), loss ")
    write_run(tmp_path / "c", [0], right, data_sha256="other")
    with pytest.raises(DataError, match="different data or splits"):
        compare_runs([tmp_path / "a", tmp_path / "c"])
    with pytest.raises(DataError, match=SAYS["gone-no-training-run"]):
        compare_runs([tmp_path / "gone"])


def compare(*folders):
    from xray_infer.train.cli import main

    result = CliRunner().invoke(main, ["compare", *map(str, folders)])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(("reason", "damage"), DAMAGES.items(), ids=DAMAGES)
def test_a_damaged_training_record_is_one_line_of_compare(tmp_path, reason, damage):
    folder = tmp_path / "run"
    write_run(folder, [0], [[4, 0, 0]])
    damage(folder / "fine_tuning.json")
    line = compare(folder)
    assert line.startswith(f"xray-train: {folder / 'fine_tuning.json'}: {reason}")
    assert line.endswith(SAYS["train-this-method-again-xray"])


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"data_sha256": 3}'])
def test_a_damaged_configuration_is_one_line_of_compare(tmp_path, text):
    folder = tmp_path / "run"
    write_run(folder, [0], [[4, 0, 0]])
    (folder / "run.json").write_text(text)
    line = compare(folder)
    assert line.startswith(SAYS["xray-train-the-configuration"].format(value=folder / "run.json"))
    assert line.endswith(SAYS["restore-it-from-a"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "", "the predictions are damaged: no val images"),
        (lambda text: text[:-9], "the predictions are damaged: "),  # in the middle of a logit
        (lambda text: text.replace("logit_covid", "logit"), "the predictions are damaged: no column 'logit_"),
        (lambda text: text.replace("covid,,", "flu,,"), "the predictions are damaged: "),
        (lambda text: text.replace("val,", "test,"), "the predictions are damaged: no val images"),
        (lambda text: None, "cannot read the predictions: No such file or directory"),
    ],
    ids=["empty", "truncated", "column", "class", "split", "gone"],
)
def test_damaged_predictions_are_one_line_of_compare(tmp_path, change, reason):
    folder = tmp_path / "run"
    write_run(folder, [0], [[4, 0, 0]])
    path = folder / "fine_tuning.predictions.csv"
    if (text := change(path.read_text())) is None:
        path.unlink()
    else:
        path.write_text(text)
    line = compare(folder)
    assert re.match(f"xray-train: {re.escape(f'{path}: {reason}')}", line), line
    assert line.endswith(SAYS["delete-fine-tuning-json"])


def test_logs_hold_every_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from xray_infer.train.stages import EpochLogs

    history = [{"loss": 1.5, "val_loss": 2.0}, {"loss": 1.0, "val_loss": 1.75}]
    for epochs in (1, 2):  # the second as after a kill: another writer
        logs = EpochLogs(tmp_path, "fine_tuning")
        logs.write(history[:epochs])
        logs.close()
    text = (tmp_path / "fine_tuning.log.csv").read_text()
    assert text == "epoch,loss,val_loss\n1,1.5,2.0\n2,1.0,1.75\n"
    curves: dict[int, float] = {}
    for file in (tmp_path / "tensorboard" / "fine_tuning").iterdir():
        events = EventAccumulator(str(file))
        events.Reload()
        curves |= {point.step: float(point.tensor_proto.float_val[0]) for point in events.Tensors("loss")}
    assert curves == {1: 1.5, 2: 1.0}
