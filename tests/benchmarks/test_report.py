"""The tables of a benchmark: results.csv, results.md, the README and xray-export's figures."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from approved import approved
from bench_results import (
    FILES,
    IMAGES,
    METHODS,
    accuracy_only,
    all_of_it,
    figures_of,
    made_up,
    single_row,
    speed_only,
)
from click.testing import CliRunner

from xray_infer.benchmarks.cli import report_command
from xray_infer.benchmarks.reporting.bench_figures import gather, title
from xray_infer.benchmarks.reporting.csv_table import csv_text
from xray_infer.benchmarks.reporting.summary_tables import MARK, doubts
from xray_infer.benchmarks.reporting.writing import (
    BEGIN,
    END,
    full_tables,
    put_table,
    recipe_figures,
    short_tables,
)
from xray_infer.benchmarks.results_file import write_results
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError

SAYS = approved("xray-bench")


@pytest.fixture(scope="module")
def figures():
    return figures_of(all_of_it)


@pytest.fixture
def results_file(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, single_row(made_up()))
    return path


def table_lines(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def test_csv_has_a_line_a_row_and_reads_back_to_the_same_figures(figures):
    rows = list(csv.DictReader(io.StringIO(csv_text(figures))))
    assert len(rows) == len(METHODS) * len(FILES)
    for row, key in zip(rows, figures.keys, strict=True):
        assert (row["method"], row["format"], row["recipe"], row["runtime"]) == (
            key.method,
            key.format,
            key.recipe,
            key.runtime,
        )
        accuracy, speed = figures.accuracy[key], figures.speed[key]
        assert float(row["accuracy"]) == accuracy.metrics.accuracy
        assert float(row["accuracy_groups_low"]) == accuracy.intervals["accuracy"][0]
        assert (float(row["p50_ms_low"]), float(row["p50_ms_high"])) == speed.p50_ms.interval
        assert float(row["images_per_s"]) == speed.images_per_s.value
        assert row["energy_j_per_image"] == ""  # not measured is not 0


def test_the_short_table_has_a_line_a_row_and_a_guess_and_marks_what_fails(figures):
    text = short_tables(figures)
    head, *lines = table_lines(text[: text.index("Accuracy of the test split")])
    assert len(lines) == len(figures.keys) + len(figures.results.guesses)
    assert {len(line) for line in lines} == {len(head)}
    marked = {tuple(line[:4]) for line in lines if MARK in line[0]}
    failed = {(f"{one.method}", one.recipe) for one in figures.failures()}
    assert failed == {(method, "int8x16") for method in METHODS}
    assert {(line[2]) for line in marked} == {"int8x16"}
    assert len(marked) == len(failed)


def test_the_short_tables_hold_the_speed_of_peers_and_the_notice(figures):
    text = short_tables(figures)
    head, *lines = table_lines(text[text.index("Speed of whole programs") :])
    assert [line[0] for line in lines] == [one.name for one in figures.peers]
    assert {len(line) for line in lines} == {len(head)}
    assert text.endswith(RESEARCH_NOTICE)
    assert "Speed of whole programs" not in short_tables(figures_of(accuracy_only))


def test_columns_that_nothing_fills_are_left_out():
    head, *_ = table_lines(short_tables(figures_of(accuracy_only)))
    assert "accuracy (95 %)" in head
    assert "images/s" not in head
    head, *_ = table_lines(short_tables(figures_of(speed_only)))
    assert "p50 / p99, ms" in head
    assert "accuracy (95 %)" not in head


def test_the_markdown_names_every_row_in_the_tables_of_accuracy_and_speed(figures):
    text = full_tables(figures)
    assert RESEARCH_NOTICE in text
    assert text.index("Failed: ") < text.index("All rows")
    for caption in (
        "Accuracy with 95 % intervals over groups",
        "SingleStream",
        "Offline",
        "Accuracy by source",
    ):
        part = text[text.index(caption) :]
        lines = table_lines(part[: part.index("\n\n", part.index("\n\n") + 2)])
        assert {line[0] for line in lines[1:]} == {title(key) for key in figures.keys}, caption


def test_domains_stand_above_the_accuracies_of_the_test_split(figures):
    text = full_tables(figures)
    places = [text.index(f"## {name}\n") for name in ("Each domain left out", "Within domains", "Accuracy")]
    assert places == sorted(places)
    left_out = table_lines(text[places[0] : places[1]])
    assert {line[0] for line in left_out} >= {"east", "west"}
    head, *lines = table_lines(text[places[1] : places[2]])
    assert head[:2] == ["row", "mean of the pairs"]
    assert {name.split(",")[0] for name in head[2:]} == {"east", "west"}
    assert {line[0] for line in lines} == {title(key) for key in figures.keys}
    rows = list(csv.DictReader(io.StringIO(csv_text(figures))))
    for row, key in zip(rows, figures.keys, strict=True):
        assert float(row["auroc_within_domains"]) == figures.accuracy[key].within.mean.value


def test_results_without_domains_have_no_such_tables():
    results = single_row(made_up())
    sets = [replace(one, domains=[]) for one in results.sets]
    text = full_tables(gather(replace(results, sets=sets, trained=None)))
    assert "ithin domains" not in text
    assert "left out" not in text


def test_a_name_from_the_data_cannot_break_a_table():
    results = single_row(made_up())
    results.sets[0].sources[:] = ["a|b" for _ in results.sets[0].sources]
    lines = [line for line in full_tables(gather(results)).splitlines() if "a\\|b" in line]
    assert lines == ["| row | a\\|b |"]


@pytest.mark.parametrize("change", [accuracy_only, speed_only, single_row])
def test_less_than_everything_gives_tables(change):
    figures = figures_of(change)
    text = full_tables(figures)
    assert len(list(csv.DictReader(io.StringIO(csv_text(figures))))) == len(figures.keys)
    assert "None" not in text
    assert "nan" not in text


def test_the_readme_is_replaced_between_its_marks_only(tmp_path):
    path = tmp_path / "README.md"
    before, after = b"# T\xc3\xa4st\r\n\nabove\n", b"\n\nbelow  \r\n"
    path.write_bytes(before + BEGIN.encode() + b"\nold\n" + END.encode() + after)
    for _ in range(2):  # the second time there is a table already
        put_table(path, "| new |")
        assert path.read_bytes() == before + f"{BEGIN}\n| new |\n{END}".encode() + after


@pytest.mark.parametrize("text", ["nothing", BEGIN, END, f"{END} {BEGIN}"])
def test_a_readme_without_marks_stays_and_the_error_says_what_to_do(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(DataError, match="add a line") as found:
        put_table(path, "new")
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)
    assert path.read_text() == text


def test_recipes_have_the_form_that_xray_export_reads(figures):
    found = recipe_figures(figures)
    assert found["images"] == IMAGES
    assert [(one["format"], one["recipe"], one["runtime"]) for one in found["recipes"]] == [
        (one, recipe, runtime)
        for one, recipe, runtime, *_ in FILES
        if one != "keras" and runtime != "openvino"
    ]
    base = next(one for one in found["recipes"] if (one["format"], one["recipe"]) == ("onnx", "fp32"))
    assert base["ratio"] == 1
    shipped = json.loads(
        __import__("importlib.resources")
        .resources.files("xray_infer.export")
        .joinpath("measured.json")
        .read_text()
    )
    assert {frozenset(one) for one in found["recipes"]} == {frozenset(shipped["recipes"][0])}
    assert set(found) == set(shipped)


def test_recipes_need_a_keras_model():
    with pytest.raises(DataError, match=r"fine_tuning\.keras"):
        recipe_figures(gather(single_row(made_up())))


def test_the_command_writes_all_files_and_the_readme(tmp_path, results_file):
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{BEGIN}\n{END}\nbelow\n")
    out = tmp_path / "out"
    done = CliRunner().invoke(report_command, [str(results_file), "--out", str(out), "--readme", str(readme)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {"results.csv", "results.md", "results.html"}
    assert "| fine-tuning | onnx | fp32 | onnxruntime |" in readme.read_text()
    assert RESEARCH_NOTICE in readme.read_text()
    assert RESEARCH_NOTICE in done.output


def test_the_command_says_in_one_line_what_is_wrong(tmp_path):
    done = CliRunner().invoke(report_command, [str(tmp_path / "none.json"), "--out", str(tmp_path)])
    assert done.exit_code != 0
    assert SAYS["none-json-cannot-be"] in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_the_command_module_loads_nothing_heavy():
    code = (
        "import sys, xray_infer.benchmarks.cli\n"
        "print([name for name in ('numpy', 'matplotlib', 'scipy', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_doubt_that_holds_of_many_rows_is_said_once_and_names_the_worst():
    """Baselines ran more often, so their p99 is of more queries."""
    found = figures_of(speed_only)
    (weak,) = [sentence for sentence in doubts(found) if "queries" in sentence]
    assert SAYS["min-queries-of-rows"].format(value=len(found.speed) - 2, value2=len(found.speed)) in weak
    assert weak.count("(140)") == 3
    one = gather(single_row(made_up()))
    (sentence,) = [sentence for sentence in doubts(one) if "queries" in sentence]
    assert sentence.endswith(f": {title(one.keys[0])} (70)")


def test_the_worst_rows_are_named_first():
    results = speed_only(made_up())
    rows = [model.row for model in results.models][:5]
    slowed = {row: 1.2 + 0.2 * place for place, row in enumerate(rows)}
    processes = [
        replace(one, single_stream_ms=[ms * slowed[one.row] for ms in one.single_stream_ms])
        if one.round == 0 and one.row in slowed
        else one
        for one in results.processes
    ]
    found = doubts(gather(replace(results, processes=processes)))
    (restless,) = [sentence for sentence in found if sentence.startswith("latency varies")]
    assert f"5 of {len(results.models)} rows, the worst {title(rows[4])} (" in restless
    places = [restless.index(title(row)) for row in (rows[4], rows[3], rows[2])]
    assert places == sorted(places)
    assert title(rows[0]) not in restless
