"""The lungs' box: on drawn films, on pictures that have none, whatever their shape, from any thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import REPOSITORY

from xray_infer.images.decode import decode
from xray_infer.images.lungs import Box, find_lungs, normalised, shipped_network

PHANTOMS = sorted((REPOSITORY / "samples").glob("phantom_*"))


@pytest.fixture(scope="module", params=PHANTOMS, ids=lambda path: path.stem)
def film(request):
    return decode(request.param.read_bytes())


def shares(box: Box, gray: np.ndarray) -> np.ndarray:
    height, width = gray.shape
    return np.array([box.left / width, box.top / height, box.right / width, box.bottom / height])


def test_lungs_are_found_in_drawn_films_and_the_box_is_inside(film):
    box = find_lungs(film)
    assert box is not None
    assert 0 <= box.left < box.right <= film.shape[1]
    assert 0 <= box.top < box.bottom <= film.shape[0]
    # The middle of the film lies between the lungs.
    assert box.left < film.shape[1] / 2 < box.right


def test_a_mirrored_film_has_the_mirrored_box(film):
    left, top, right, bottom = shares(find_lungs(film), film)
    mirrored = shares(find_lungs(np.ascontiguousarray(film[:, ::-1])), film)
    assert mirrored == pytest.approx([1 - right, top, 1 - left, bottom], abs=0.08)


def test_a_film_of_low_contrast_has_the_same_box(film):
    pale = (100 + film / 5).astype(np.uint8)
    assert shares(find_lungs(pale), film) == pytest.approx(shares(find_lungs(film), film), abs=0.03)


def test_a_film_that_is_a_view_of_a_larger_array_has_the_same_box(film):
    wide = np.zeros((film.shape[0], film.shape[1] + 7), np.uint8)
    wide[:, 3:-4] = film
    assert find_lungs(wide[:, 3:-4]) == find_lungs(film)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    kind=st.sampled_from(["noise", "ramp", "stripes", "dot"]),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_any_picture_gives_a_box_inside_it_or_none(height, width, kind, seed):
    rng = np.random.default_rng(seed)
    gray = np.zeros((height, width), np.uint8)
    if kind == "noise":
        gray[:] = rng.integers(0, 256, gray.shape)
    elif kind == "ramp":
        gray[:] = np.linspace(0, 255, width)
    elif kind == "stripes":
        gray[:, ::2] = 255
    else:
        gray[rng.integers(height), rng.integers(width)] = 255
    box = find_lungs(gray)
    if box is not None:
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
        assert box.right - box.left >= width / 4
        assert box.bottom - box.top >= height / 4


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (64, 64), (513, 257)])
def test_one_gray_level_has_no_lungs(level, shape):
    assert find_lungs(np.full(shape, level, np.uint8)) is None


def test_threads_agree():
    films = [decode(path.read_bytes()) for path in PHANTOMS] * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(find_lungs, films)) == [find_lungs(film) for film in films]


def test_no_product_is_so_large_that_openblas_starts_threads():
    network = shipped_network()
    edge = network.side
    for kernel, stride in zip(network.kernels, network.strides, strict=True):
        edge = -(-edge // stride)
        assert edge * edge * kernel.size <= 262_144


def test_normalising_takes_brightness_and_contrast_out():
    values = np.random.default_rng(0).integers(0, 100, (64, 64)).astype(np.uint8)
    assert normalised(2 * values + 30) == pytest.approx(normalised(values), abs=1e-4)
    assert not normalised(np.full((64, 64), 7, np.uint8)).any()
