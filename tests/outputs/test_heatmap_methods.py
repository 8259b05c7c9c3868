"""Heat maps by covering parts of the picture, on models whose answer rests on a known part."""

import numpy as np
import pytest
from approved import approved
from patch_model import PATCH, PatchModel

from xray_infer.benchmarks.explain.candidate_methods import Rise, Shifted, find_method
from xray_infer.errors import DataError
from xray_infer.model.runtimes import ModelOutput, find_model
from xray_infer.outputs.heatmaps.methods import METHODS
from xray_infer.outputs.heatmaps.occlusion import AT_ONCE, FILLS, Occlusion, log_odds, logits
from xray_infer.run.artifact import HEATMAP_METHODS
from xray_infer.run.results import Classified, RowMaker, Rules

SAYS = approved("xray-infer")


@pytest.fixture
def image():
    """Dark, with a bright patch."""
    pixels = np.full((224, 224, 1), 32, np.uint8)
    pixels[PATCH] = 96
    return pixels


def test_occlusion_finds_the_only_part_that_counts(image):
    model, before = PatchModel(), image.copy()
    occlusion = Occlusion(16, 16, "gray")
    maps = occlusion.explain(model, image)
    assert (maps.shape, maps.dtype) == ((14, 14, 3), np.float32)
    expected = np.zeros((14, 14))
    # A quarter of the patch goes from 96 to the picture's mean: the logit falls by a quarter of that over 16.
    fill = round(image.mean())
    others = np.log(np.exp(1) + np.exp(0))
    expected[6:8, 10:12] = (96 / 16 - others) - ((96 * 0.75 + fill * 0.25) / 16 - others)
    assert maps[..., 0] == pytest.approx(expected, abs=1e-4)
    assert (maps[..., 1:] == 0).all()  # covering the patch is a gain for the others
    assert sum(model.batches) == occlusion.passes(224) == 14 * 14 + 1
    assert max(model.batches) <= AT_ONCE
    assert np.array_equal(image, before)


def test_windows_that_overlap_share_what_they_lose(image):
    maps = Occlusion(32, 16, "gray").explain(PatchModel(), image)[..., 0]
    loss = (96 - round(image.mean())) / 16  # of the window that covers all of the patch
    # Nine windows touch the patch and cover 1, 2 or 4 quarters of it; four of them cover a cell of it.
    assert maps[6:8, 10:12] == pytest.approx((loss + loss / 2 * 2 + loss / 4) / 4, abs=1e-4)
    assert maps[5, 9] == pytest.approx(loss / 4 / 4, abs=1e-4)
    assert np.count_nonzero(maps > 1e-6) == 16
    assert Occlusion(32, 16, "gray").passes(224) == 13 * 13 + 1


def test_the_score_is_one_s_own_choice(image):
    by_logit = Occlusion(32, 32, "gray", score=logits).explain(PatchModel(), image)
    assert (by_logit[..., 1:] == 0).all()
    assert by_logit[3, 5, 0] == pytest.approx((96 - round(image.mean())) / 16, abs=1e-4)


def test_log_odds_are_those_of_the_definition_and_finite_at_the_ends():
    given = np.array([[0.7, 0.2, 0.1], [1, 0, 0]], np.float32)
    found = log_odds(ModelOutput(given, np.zeros((2, 7, 7, 3), np.float32)))
    assert found[0] == pytest.approx(np.log([0.7 / 0.3, 0.2 / 0.8, 0.1 / 0.9]), abs=1e-6)
    assert np.isfinite(found).all()
    assert found[1].argmax() == 0


@pytest.mark.parametrize(
    "method", [Occlusion(48, 16, "blur"), Rise(300, 7, "gray"), Rise(300, 7, "blur"), Shifted(2)]
)
def test_every_method_is_deterministic_and_hottest_at_the_part_that_counts(method, image):
    model = _local_cam if isinstance(method, Shifted) else PatchModel()
    first, second = (method.explain(model, image) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert (first >= 0).all()
    row, column = np.unravel_index(first[..., 0].argmax(), first.shape[:2])
    pixels = 224 / first.shape[0]
    assert 88 <= (row + 0.5) * pixels <= 136
    assert 152 <= (column + 0.5) * pixels <= 200


def _local_cam(inputs):
    """A model whose `cam` of the first class is the brightness of each of 7 x 7 parts above 32."""
    parts = inputs[..., 0].astype(np.float32).reshape(-1, 7, 32, 7, 32).mean(axis=(2, 4)) - 32
    cam = np.stack([parts, -parts, np.zeros_like(parts)], axis=-1)
    return ModelOutput(np.full((len(inputs), 3), 1 / 3, np.float32), cam)


def test_a_shift_s_map_is_finer_than_the_model_s():
    """A bright spot of 8 pixels inside a cell of 32: the fine map's hottest place is near it."""
    image = np.full((224, 224, 1), 32, np.uint8)
    image[96:104, 120:128] = 250
    maps = Shifted(4).explain(_local_cam, image)
    assert maps.shape == (28, 28, 3)
    row, column = np.unravel_index(maps[..., 0].argmax(), (28, 28))
    assert abs(row * 8 + 4 - 100) <= 12
    assert abs(column * 8 + 4 - 124) <= 12


def test_fills_keep_size_and_type_and_know_the_picture():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (224, 224), dtype=np.uint8)
    for fill in FILLS.values():
        filled = fill(picture)
        assert (filled.shape, filled.dtype) == (picture.shape, np.uint8)
        assert filled.mean() == pytest.approx(picture.mean(), abs=3)
        assert filled.std() < 10
        assert filled is not picture


def test_the_command_s_choices_are_the_methods():
    """The tuple stands apart so that --help loads no numpy."""
    assert tuple(METHODS) == HEATMAP_METHODS


@pytest.mark.parametrize("name", HEATMAP_METHODS)
def test_every_method_explains_an_image_with_an_answer(name, tiny_onnx, xray):
    from xray_infer.classifier import PixelsItem
    from xray_infer.images.preprocess import to_input

    session = find_model(tiny_onnx).open()
    counted = []

    def run(inputs):
        counted.append(len(inputs))
        return session.run(inputs)

    given = to_input(xray, side=224)
    output = session.run(given[None])
    row = RowMaker("tiny", "0", "here", Rules(None, 0.0)).judged("a", output.probabilities[0], None)
    method = METHODS[name]
    maps = method.explain(Classified(PixelsItem(xray, "a"), b"", xray, given, row, output.cam[0], run))
    assert (maps.ndim, maps.shape[2], maps.dtype) == (3, 3, np.float32)
    assert (maps >= 0).all()
    assert maps.any()
    assert sum(counted) == method.passes(224)


@pytest.mark.parametrize("name", ["nothing", "occlusion:48:16", "occlusion:48:16:pink", "rise:x:7:gray", ""])
def test_an_unknown_method_is_refused_with_what_there_is(name):
    with pytest.raises(DataError, match=SAYS["no-method-there-are"]):
        find_method(name)
