"""Keras's kept answers stand in for a Keras model that is not there, for exactly these images."""

import numpy as np
import pytest
from approved import approved

from xray_infer.benchmarks.accuracy.answering import read_test_images, stored_answers
from xray_infer.benchmarks.model_rows import find_rows
from xray_infer.classes import CLASS_NAMES
from xray_infer.images.preprocess import STUDY
from xray_infer.study.reference import SUFFIX, Reference, extreme_inputs

SAYS = approved("xray-bench")


@pytest.fixture
def beside(tiny_onnx, tmp_path):
    """A model file in a folder of its own, to which a reference can be put."""
    model = tmp_path / "fine_tuning-fp32.onnx"
    model.write_bytes(tiny_onnx.read_bytes())
    return model


def keep(model, inputs, labels):
    made_up = extreme_inputs(STUDY.side)
    count = len(inputs) + len(made_up)
    chances = np.random.default_rng(0).dirichlet((1, 1, 1), count).astype(np.float32)
    cam = np.zeros((count, 7, 7, 3), np.float32)
    both = np.concatenate([inputs, made_up])
    Reference(both, chances, cam, np.array(labels)).save(model.with_name(f"fine_tuning{SUFFIX}"))
    return chances


def test_answers_are_found_by_the_pixels_whatever_their_order(beside, split_tree):
    images = read_test_images(split_tree, CLASS_NAMES)
    inputs = images.inputs(STUDY)
    order = np.arange(len(inputs))[::-1]
    chances = keep(beside, inputs[order], np.array(images.set.labels)[order])
    ((model, answers),) = stored_answers(find_rows([beside]), images, print)
    assert (model.row.format, model.size_bytes, model.file) == ("keras", 0, f"fine_tuning{SUFFIX}")
    assert answers.probabilities == pytest.approx(chances[: len(order)][order])
    assert (answers.images, answers.region) == ("test", "all")


def test_answers_to_other_images_do_not_count_and_that_is_said(beside, split_tree):
    images = read_test_images(split_tree, CLASS_NAMES)
    keep(beside, images.inputs(STUDY)[1:], images.set.labels[1:])
    lines: list[str] = []
    assert list(stored_answers(find_rows([beside]), images, lines.append)) == []
    assert SAYS["holds-no-answers-to"] in lines[0]


def test_without_stored_answers_nothing_is_held_against_them(beside, split_tree):
    assert list(stored_answers(find_rows([beside]), read_test_images(split_tree, CLASS_NAMES), print)) == []
