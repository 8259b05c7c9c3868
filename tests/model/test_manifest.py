"""The manifest inside an ONNX file, read without a runtime; what is no such file is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from specimens import example_manifest

from xray_infer.errors import ModelError
from xray_infer.model.manifest import (
    MANIFEST_FILE,
    MANIFEST_KEY,
    OUTPUT_NAMES,
    SCORE_NAME,
    parse_manifest,
    read_onnx_manifest,
)


def test_the_names_that_files_carry_do_not_follow_the_modules():
    assert (MANIFEST_KEY, MANIFEST_FILE) == ("xray_infer.manifest", "xray_infer.manifest.json")


def test_a_truncated_file_is_refused(tiny_onnx, tmp_path):
    whole = tiny_onnx.read_bytes()
    manifest = read_onnx_manifest(tiny_onnx)
    assert manifest == example_manifest()
    path = tmp_path / "cut.onnx"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"no manifest inside|or a damaged one"):
            read_onnx_manifest(path)


@pytest.mark.parametrize("seed", range(200))
def test_random_bytes_are_no_model(tmp_path, seed):
    path = tmp_path / "random.onnx"
    path.write_bytes(np.random.default_rng(seed).bytes(500))
    with pytest.raises(ModelError, match=r"no manifest inside|or a damaged one"):
        read_onnx_manifest(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no manifest inside"),
        (b"\x08\x0a", "no manifest inside"),  # an IR version and nothing else
        (b"\x00\x00", "no field begins at byte 0"),
        (b"\x08\x0a\x0b\x0c", "no field begins at byte 2"),  # a group
        (b"\x72\x05ab", "ends within the field at byte 0"),
        (b"\x72" + b"\xff" * 9 + b"\x7f", "ends within the field at byte 0"),  # a length of 2^69
        (b"\x72" + b"\xff" * 11, "a number of more than 10 bytes"),
        (b"\x72", "ends within a number"),
        (b"\x72\x03\x0a\x01\xff", "utf-8"),  # an entry whose key is not text
        (b"\x72\x04\x0a\x09ab", "ends within the field"),  # an entry whose key is longer than the entry
    ],
)
def test_what_is_no_onnx_file_is_refused(tmp_path, data, message):
    path = tmp_path / "hostile.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message):
        read_onnx_manifest(path)


def test_the_manifest_is_found_among_other_metadata(tiny_onnx, tmp_path):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(tiny_onnx)
    for key, value in (("author", "somebody"), ("note", "ä" * 300)):
        proto.metadata_props.add(key=key, value=value)
    onnx.save(proto, tmp_path / "more.onnx")
    assert read_onnx_manifest(tmp_path / "more.onnx") == example_manifest()


SCORED = {"output_names": (*OUTPUT_NAMES, SCORE_NAME)}


def test_a_files_threshold_is_that_of_its_score():
    manifest = example_manifest(**SCORED, thresholds={SCORE_NAME: 2.5})
    assert parse_manifest(manifest.to_json(), path=Path("m")).ood_threshold == 2.5


def test_an_older_file_has_no_threshold():
    """It may tell of percentiles of a score that it does not compute."""
    fields = json.loads(example_manifest(thresholds={"ood_score_p99": 2.5}).to_json())
    del fields["rejection"]
    manifest = parse_manifest(json.dumps(fields), path=Path("m"))
    assert manifest.ood_threshold is None
    assert manifest.rejection == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (SCORED, "threshold of ood_score is None"),
        ({**SCORED, "thresholds": {SCORE_NAME: float("nan")}}, "threshold of ood_score is nan"),
        ({**SCORED, "thresholds": {SCORE_NAME: True}}, "threshold of ood_score is True"),
        ({**SCORED, "thresholds": [2.5]}, "threshold of ood_score is None"),
        ({"output_names": ("cam", "probabilities")}, "output_names is"),
        ({"output_names": (*OUTPUT_NAMES, "other")}, "output_names is"),
        ({"output_names": 3}, "output_names is 3"),
    ],
)
def test_outputs_that_are_not_of_the_contract_are_refused(changes, message):
    with pytest.raises(ModelError, match=message) as caught:
        parse_manifest(example_manifest(**changes).to_json(), path=Path("m.onnx"))
    assert "\n" not in str(caught.value)
