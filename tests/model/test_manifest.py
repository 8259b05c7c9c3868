"""The manifest inside an ONNX file, read without a runtime; what is no such file is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from specimens import example_manifest

from xray_infer.errors import ModelError
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.choice import MODELS_FOLDER
from xray_infer.model.embedding import (
    MANIFEST_FILE,
    MANIFEST_KEY,
    READERS,
    append_tflite_manifest,
    read_onnx_manifest,
)
from xray_infer.model.manifest import OUTPUT_NAMES, OUTPUTS, SCORE_NAME, parse_manifest
from xray_infer.model.manifest_parts import Confidence
from xray_infer.model.runtime_table import SUFFIXES
from xray_infer.run.settings import AnswerSettings

SAYS = approved("xray-infer")


def test_the_names_that_files_carry_do_not_follow_the_modules():
    assert (MANIFEST_KEY, MANIFEST_FILE) == ("xray_infer.manifest", "xray_infer.manifest.json")


def test_a_truncated_file_is_refused(tiny_onnx, tmp_path):
    whole = tiny_onnx.read_bytes()
    manifest = read_onnx_manifest(tiny_onnx)
    assert manifest == example_manifest()
    path = tmp_path / "cut.onnx"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=SAYS["no-manifest-inside-or"]):
            read_onnx_manifest(path)


@pytest.mark.parametrize("seed", range(200))
def test_random_bytes_are_no_model(tmp_path, seed):
    path = tmp_path / "random.onnx"
    path.write_bytes(np.random.default_rng(seed).bytes(500))
    with pytest.raises(ModelError, match=SAYS["no-manifest-inside-or"]):
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


SHIPPED = sorted(path for path in MODELS_FOLDER.iterdir() if path.suffix in SUFFIXES)
SCORED = {"output_names": (*OUTPUT_NAMES, SCORE_NAME)}


def test_a_files_threshold_is_that_of_its_score():
    manifest = example_manifest(**SCORED, thresholds={SCORE_NAME: 2.5})
    assert parse_manifest(manifest.to_json(), path=Path("m")).ood_threshold == 2.5


def test_a_files_limit_of_confidence_holds_unless_another_is_given():
    confidence = Confidence(1.7, 0.8, 0.85, 0.75, 0.05, 900, ("a", "b"), limit=0.6)
    manifest = example_manifest(thresholds={"confidence": 0.6}, confidence=confidence)
    read = parse_manifest(manifest.to_json(), path=Path("m"))
    assert read == manifest
    assert AnswerSettings().rules(read).min_confidence == 0.6
    assert AnswerSettings(min_confidence=0.0).rules(read).min_confidence == 0
    assert AnswerSettings().rules(example_manifest()).min_confidence == 0


def test_an_older_file_has_no_threshold():
    """It may tell of percentiles of a score that it does not compute."""
    fields = json.loads(example_manifest(thresholds={"ood_score_p99": 2.5}).to_json())
    del fields["rejection"]
    manifest = parse_manifest(json.dumps(fields), path=Path("m"))
    assert manifest.ood_threshold is None
    assert manifest.rejection is None


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_manifest_is_written_again_to_the_same_bytes(path):
    """In ONNX the JSON is a metadata property, in TFLite a file that is stored, not compressed."""
    manifest = READERS[SUFFIXES[path.suffix]](path)
    assert path.read_bytes().count(manifest.to_json().encode()) == 1
    assert parse_manifest(manifest.to_json(), path=path) == manifest


@pytest.mark.parametrize("name", ["quantization", "rejection", "parity", "training"])
def test_an_empty_part_is_written_again_as_it_was(name):
    stored = example_manifest().to_json()
    assert f'"{name}":{{}}' in stored
    assert parse_manifest(stored, path=Path("m")).to_json() == stored


def _shipped_fields():
    (path,) = (path for path in SHIPPED if path.name == "fine_tuning-int8-static.onnx")
    return json.loads(read_onnx_manifest(path).to_json())


def _leaves(value, *names):
    """Yield the names under which every single value of a part stands."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, *names, name)
    elif isinstance(value, list) and value:
        yield from _leaves(value[0], *names, 0)
    else:
        yield names


CLASS = ("training", "test", "classes", "covid")
READ = [
    ("training", "data_sha256"),
    ("training", "temperature"),
    *(
        ("training", "test", name)
        for name in ("images", "accuracy", "accuracy_interval", "macro_f1", "classes")
    ),
    *((*CLASS, name) for name in ("recall", "recall_interval", "precision", "precision_interval", "support")),
    ("training", "validation", "images"),
]
WHOLE = [
    names
    for part in ("parity", "quantization", "rejection", "confidence")
    for names in _leaves(_shipped_fields().get(part, {}), part)
]


@pytest.mark.parametrize("damage", [float("nan"), True, "text", [[]], 10**400], ids=lambda one: str(one)[:5])
def test_a_damaged_part_is_one_line_that_names_it(damage):
    assert len(WHOLE) > 40
    for *above, last in (*READ, *WHOLE):
        fields = _shipped_fields()
        place = fields
        for name in above:
            place = place[name]
        if type(place[last]) is type(damage) and type(damage) is not float and damage != 10**400:
            continue
        place[last] = damage
        with pytest.raises(ModelError) as caught:
            parse_manifest(json.dumps(fields), path=Path("m.onnx"))
        message = str(caught.value)
        assert message.startswith(f"m.onnx: {above[0]}.")
        assert str(last) in message or last == 0
        assert message.endswith("; export the model again")
        assert "\n" not in message
        assert len(message) < 200


@pytest.mark.parametrize("part", ["parity", "quantization", "rejection"])
def test_a_part_with_a_field_too_many_is_refused(part):
    """It would be lost where the manifest is written again."""
    fields = _shipped_fields()
    fields[part]["more"] = 1
    with pytest.raises(ModelError, match=SAYS["m-has-unknown-fields"].format(part=part)):
        parse_manifest(json.dumps(fields), path=Path("m"))


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("parity", ("agreement", "accuracy", "images", "runtime", "tolerance", "reference_sha256")),
        ("quantization", ("calibration_images", "calibration_sha256", "choice_images")),
        ("rejection", ("false_rejection",)),
    ],
)
def test_a_part_with_a_field_too_few_is_refused(part, names):
    for name in names:
        fields = _shipped_fields()
        del fields[part][name]
        with pytest.raises(ModelError, match=SAYS["m-is-missing"].format(part=part, name=name)):
            parse_manifest(json.dumps(fields), path=Path("m"))


@pytest.mark.parametrize("stored", ["[" * 100_000, "9" * 5000, '{"a":'], ids=["deep", "long", "cut"])
def test_json_that_python_cannot_read_is_one_line(stored):
    with pytest.raises(ModelError, match=SAYS["m-the-manifest-inside"]):
        parse_manifest(stored, path=Path("m"))


def test_a_record_nested_deeply_is_written_again():
    fields = _shipped_fields()
    fields["training"]["deep"] = json.loads("[" * 800 + "]" * 800)
    assert '"deep":[[[' in parse_manifest(json.dumps(fields), path=Path("m")).to_json()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("name", 3, "name is 3 where text is expected"),
        ("version", ["0"], "version is a list where text is expected"),
        ("tool_versions", {"onnx": 1}, "tool_versions.onnx is 1 where text is expected"),
        ("thresholds", {"other": "2"}, 'thresholds.other is "2" where a finite number is expected'),
        ("parity", None, "parity is null"),
        ("input_name", None, "input_name is null"),
        ("parity", [], "parity is a list where an object is expected"),
        ("class_names", ["\x1b[31m"] * 10_000, "class_names: 10000 classes; a model has 2 to 50"),
        ("class_names", ["a", "\x1b[31m" * 1000], "class_names: the class name '\\x1b[31m"),
        ("class_names", ["a", 3], "class_names[1] is 3 where text is expected"),
        ("class_names", ["normal", "Normal"], "class_names: two classes are called 'Normal'"),
        ("class_names", ["only"], "class_names: 1 classes"),
        ("schema_version", 3, "schema_version is 3"),
        ("output_names", ["\x1b[31m"] * 10_000, "output_names is "),
        ("\x1b[31m" * 10_000, 1, "the manifest inside has missing or unknown fields: "),
    ],
)
def test_a_damaged_field_is_one_line_that_names_it(name, value, reason):
    with pytest.raises(ModelError) as caught:
        parse_manifest(json.dumps(_shipped_fields() | {name: value}), path=Path("m.onnx"))
    message = str(caught.value)
    assert message.startswith(f"m.onnx: {reason}")
    assert message.endswith("; export the model again")
    assert message.isprintable()
    assert len(message) < 350


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("side", [32, 64, 160, 224, 1024])
def test_a_file_says_what_it_is_given(version, side):
    stored = example_manifest(preprocessing_version=version, input_shape=(side, side, 1)).to_json()
    manifest = parse_manifest(stored, path=Path("m"))
    assert manifest.preprocessing == Preprocessing(version, side)
    assert manifest.preprocessing.shape == manifest.input_shape
    assert manifest.to_json() == stored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("preprocessing_version", value) for value in (0, 3, -1, None, "2", [2], True, 1.5, 2.0, {})),
        *(
            ("input_shape", value)
            for value in (
                *([0, 0, 1], [-32, -32, 1], [16, 16, 1], [100, 100, 1], [1056, 1056, 1], [2**70, 2**70, 1]),
                *([224, 192, 1], [224, 224, 3], [224, 224], [224], [], 224, None, "224", [True, True, 1]),
                *([224.0, 224.0, 1], ["224", "224", 1], [[224, 224, 1]], [float("nan"), 224, 1]),
            )
        ),
    ],
)
def test_what_it_cannot_be_given_is_refused_in_one_line(name, value):
    with pytest.raises(ModelError) as caught:
        parse_manifest(json.dumps(_shipped_fields() | {name: value}), path=Path("m.onnx"))
    message = str(caught.value)
    assert message.startswith((f"m.onnx: {name} is ", f"m.onnx: {name}[0] is "))
    assert message.endswith("; export the model again")
    assert message.isprintable()
    assert len(message) < 350


def test_the_refusal_says_which_sides_there_are():
    fields = _shipped_fields() | {"input_shape": [100, 100, 1]}
    with pytest.raises(ModelError, match=SAYS["input-shape-is-this"]):
        parse_manifest(json.dumps(fields), path=Path("m"))
    with pytest.raises(ModelError, match=SAYS["preprocessing-version-is-this"]):
        parse_manifest(json.dumps(fields | {"preprocessing_version": 3}), path=Path("m"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (SCORED, "thresholds.ood_score is missing"),
        (
            {**SCORED, "thresholds": {SCORE_NAME: float("nan")}},
            "thresholds.ood_score is NaN where a finite number",
        ),
        ({**SCORED, "thresholds": {SCORE_NAME: True}}, "thresholds.ood_score is true where a finite number"),
        ({**SCORED, "thresholds": [2.5]}, "thresholds is a list where an object"),
        ({"thresholds": {"confidence": 1.5}}, "thresholds.confidence is 1.5, not within 0..1"),
        ({"output_names": ("cam", "probabilities")}, "output_names is"),
        ({"output_names": (*OUTPUT_NAMES, "other")}, "output_names is"),
        ({"output_names": 3}, "output_names is 3"),
    ],
)
def test_outputs_that_are_not_of_the_contract_are_refused(changes, message):
    with pytest.raises(ModelError, match=message) as caught:
        parse_manifest(example_manifest(**changes).to_json(), path=Path("m.onnx"))
    assert "\n" not in str(caught.value)


def test_a_file_of_version_1_has_the_studys_classes_and_no_features():
    stored = example_manifest(schema_version=1, output_names=OUTPUTS[1])
    assert parse_manifest(stored.to_json(), path=Path("m")) == stored
    for changes, message in (
        ({"class_names": ["a", "b"]}, "version 1 has"),
        ({"output_names": list(OUTPUT_NAMES)}, "output_names is"),
    ):
        with pytest.raises(ModelError, match=message):
            parse_manifest(json.dumps(stored.to_dict() | changes), path=Path("m"))


def test_a_file_of_version_2_has_any_classes():
    named = tuple(f"Klasse {number} ä" for number in range(50))
    manifest = parse_manifest(example_manifest(class_names=named).to_json(), path=Path("m"))
    assert manifest.class_names == named
    assert "features" in manifest.output_names


def test_a_manifest_in_a_tflite_file_is_replaced():
    flatbuffer = b"\x1c\0\0\0TFL3" + bytes(500)
    once = append_tflite_manifest(flatbuffer, example_manifest(name="first"))
    twice = append_tflite_manifest(once, example_manifest(name="second"))
    assert twice == append_tflite_manifest(flatbuffer, example_manifest(name="second"))
    assert twice.startswith(flatbuffer)
