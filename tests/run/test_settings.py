"""What changes a row is in the fingerprint, and so refuses to resume; what only changes the speed is not."""

import math
from dataclasses import fields, replace

import pytest
from approved import approved

from xray_infer.errors import OutputError
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.model.embedding import READERS
from xray_infer.model.runtimes import find_model
from xray_infer.run.journal import Journal
from xray_infer.run.settings import (
    AnswerSettings,
    EngineOptions,
    differences,
    fingerprint_of,
    row_maker,
    what_changes_rows,
)

SAYS = approved("xray-infer")

OTHER = {
    "ood_threshold": 1.25,
    "min_confidence": 0.5,
    "isolate_s": 9.0,
    "batch_size": 3,
    "threads": 2,
    "limits": replace(DEFAULT_LIMITS, max_pixels=1_000_000),
    "device": "cuda",
    "workers": 5,
}
CHANGES_ROWS = {one.name for one in fields(AnswerSettings)}


@pytest.fixture
def made_by(tiny_onnx):
    """Return what makes the rows of some settings, and their fingerprint, as a run does."""
    model = find_model(tiny_onnx)

    def maker_and_fingerprint(settings: EngineOptions):
        runtime = model.runtime_name(None, settings.device)
        maker = row_maker(READERS[model.format](model.path), model.digest, runtime, settings)
        return maker, fingerprint_of(maker, settings, "/films")

    return maker_and_fingerprint


def test_every_option_of_the_engine_is_declared_either_way():
    assert {one.name for one in fields(EngineOptions)} == set(OTHER)
    assert set(OTHER) - CHANGES_ROWS == {"workers"}
    assert [name for name, why in what_changes_rows() if why] == [one.name for one in fields(AnswerSettings)]


@pytest.mark.parametrize("name", list(OTHER))
def test_only_what_changes_a_row_refuses_to_resume(tmp_path, made_by, name):
    maker, before = made_by(EngineOptions())
    other_maker, after = made_by(EngineOptions(**{name: OTHER[name]}))
    out = tmp_path / "r.csv"
    Journal(out, before, maker, restart=False).close()
    if name in CHANGES_ROWS:
        assert differences(before, after)
        with pytest.raises(OutputError, match=SAYS["an-unfinished-run-of"]):
            Journal(out, after, other_maker, restart=False)
    else:
        assert not differences(before, after)
        Journal(out, after, other_maker, restart=False).close()


@pytest.mark.parametrize("name", [one.name for one in fields(Limits)])
def test_every_bound_changes_rows(made_by, name):
    _, before = made_by(EngineOptions())
    other = replace(DEFAULT_LIMITS, **{name: getattr(DEFAULT_LIMITS, name) // 2})
    _, after = made_by(EngineOptions(limits=other))
    assert differences(before, after).startswith(f"{name} was ")


def test_the_fingerprint_keeps_its_names(made_by):
    """Shards of an earlier run are gone on with as long as these stay."""
    _, found = made_by(EngineOptions(ood_threshold=math.inf))
    assert list(found) == [
        "source",
        "model_sha256",
        "runtime",
        "xray_infer",
        "decoders",
        "preprocessing_version",
        "row_schema",
        "ood_threshold",
        "min_confidence",
        "isolate_s",
        "batch_size",
        "threads",
        "max_pixels",
        "max_file_bytes",
        "max_members",
        "max_archive_bytes",
        "max_compression_ratio",
    ]
    assert found["ood_threshold"] == "never"
