"""The committed results, and that docs/evidence says what they say."""

import json
import re
from importlib import resources

import pytest
from places import REPOSITORY

from xray_infer.benchmarks.reporting.bench_figures import BenchFigures, gather
from xray_infer.benchmarks.reporting.writing import between_marks, full_tables, recipe_figures, short_tables
from xray_infer.benchmarks.results_file import read_results
from xray_infer.benchmarks.results_schema import Results
from xray_infer.model.manifest import METHODS

RESULTS = REPOSITORY / "benchmarks" / "results"


@pytest.fixture(scope="module")
def found() -> Results:
    return read_results(RESULTS / "full")


@pytest.fixture(scope="module")
def figures(found) -> BenchFigures:
    return gather(found)


def test_the_document_and_the_tables_are_made_from_the_committed_results(figures):
    document = REPOSITORY / "docs" / "evidence" / "benchmark.md"
    _, between, _ = between_marks(document.read_text(encoding="utf-8"), document)
    assert between.strip() == short_tables(figures).strip()
    assert (RESULTS / "full" / "results.md").read_text(encoding="utf-8") == full_tables(figures)


@pytest.mark.parametrize("folder", ["earlier", "shipped"])
def test_the_other_tables_are_made_from_their_results(folder):
    figures = gather(read_results(RESULTS / folder))
    assert (RESULTS / folder / "results.md").read_text(encoding="utf-8") == full_tables(figures)


def test_what_the_exporter_says_of_its_recipes_is_from_the_committed_results(figures):
    measured = json.loads(resources.files("xray_infer.export").joinpath("measured.json").read_text())
    assert measured["recipes"]
    assert measured == json.loads(json.dumps(recipe_figures(figures)))


def test_the_committed_results_are_whole(found):
    rows = [model.row for model in found.models]
    assert {row.method for row in rows} == set(METHODS)
    assert {row.format for row in rows} == {"keras", "onnx", "tflite"}
    rounds = found.options["effort"]["rounds"]
    for row in rows:
        processes = [one for one in found.processes if one.row == row]
        assert {one.round for one in processes} == set(range(rounds)), row.name
        regions = {one.region for one in found.answers if one.row == row}
        assert regions == {"all", "border", "centre"}, row.name
    assert len(found.limits) == rounds
    assert len(found.sets[0].labels) == 337


def test_no_path_of_the_machine_stands_in_the_results():
    for path in RESULTS.rglob("*"):
        if path.suffix in (".json", ".md", ".csv"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.<])/(?:[\w.-]+/)+[\w.-]+", text), path
