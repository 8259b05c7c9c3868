"""A row to a file and back: whatever its text and its numbers, for every format."""

import csv
import math
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xray_infer.classes import CLASS_NAMES
from xray_infer.images.preprocess import VERSIONS, WHOLE, Area
from xray_infer.run.results import DECIMALS, REJECTED, Row, RowMaker, Rules, StoredRow, Tabular, columns
from xray_infer.run.shards.merging import _READERS
from xray_infer.run.writers import find_writer
from xray_infer.run.writers.csv_file import FORMULA_STARTS

COLUMNS = columns(CLASS_NAMES)

FEWER = settings(max_examples=settings.default.max_examples // 3)  # each example writes files
MAKERS = [RowMaker("tiny", "ab" * 32, "fake 1", Rules(2.5, 0.4), version) for version in VERSIONS]
MAKER = MAKERS[0]

# Lone surrogates are how Python holds bytes of a file name that are not UTF-8; on Windows there are others,
# too.
NAMES = st.one_of(
    st.text(st.characters(), min_size=1),
    st.text(st.sampled_from("ab/.\\\n\r\t\0,;\"'=+-@＝\udce9\ud800\u202e é"), min_size=1),
    st.binary(min_size=1).map(lambda data: data.decode("utf-8", "surrogateescape")),
)
REASONS = st.text(st.characters())
SHARES = st.floats(0, 1, width=32)
EDGES = st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted)
AREAS = st.one_of(
    st.just(WHOLE),
    st.tuples(EDGES, EDGES).map(lambda of: Area(of[0][0], of[1][0], of[0][1], of[1][1])),
)
SCORES = st.one_of(st.none(), st.floats(), st.floats(0, 5))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row of an answer or of a failure, as the engine has it made."""
    name, maker = draw(NAMES), draw(st.sampled_from(MAKERS))
    if draw(st.booleans()):
        return maker.failed(name, draw(st.sampled_from(["error", REJECTED])), draw(REASONS))
    weights = draw(st.tuples(SHARES, SHARES, SHARES))
    chances = [one / (sum(weights) or 1) for one in weights]
    return maker.judged(name, chances, draw(SCORES), draw(AREAS))


@st.composite
def stored_rows(draw: st.DrawFn) -> StoredRow:
    """A row as it may stand in a file of results: any text that is valid Unicode in any column of text."""
    of = {
        str: st.text(st.characters(exclude_categories=["Cs"])),
        float: st.one_of(st.none(), st.floats(-1e9, 1e9).map(lambda value: round(value, DECIMALS))),
        int: st.integers(-(2**31), 2**31 - 1),
    }
    return StoredRow({name: draw(of[kind]) for name, kind in COLUMNS.items()})


ANY_ROWS = st.lists(st.one_of(rows(), stored_rows()), max_size=4)
# What each reader makes of a file: the values that merge puts into the next one.
READERS = {f".{form}": read for form, read in _READERS.items()}


def there_and_back(made: list[Tabular], suffix: str, read: Callable[[Path], list[dict[str, Any]]]):
    """Write rows to a file and return what a reader finds in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows{suffix}")
        with find_writer(path)(path, COLUMNS) as writer:
            for row in made:
                writer.write(row)
            writer.finish()
        return read(path)


def values(row: Tabular, *, finite: bool) -> dict[str, Any]:
    """Return a row's values; JSON has none for a score that is no finite number."""
    cells = dict(row.values())
    score = cells["ood_score"]
    if finite and isinstance(score, float) and not math.isfinite(score):
        cells["ood_score"] = None
    return cells


@pytest.mark.parametrize("suffix", READERS)
@FEWER
@given(made=ANY_ROWS)
@example(made=[MAKER.judged("far.png", (0.2, 0.3, 0.5), math.inf)])
@example(made=[MAKER.failed("\ud800\udce9.png", "error", "")])
def test_rows_come_back_through_what_merge_reads(suffix, made):
    found = there_and_back(made, suffix, READERS[suffix])
    assert list(map(repr, found)) == [repr(values(row, finite=suffix == ".jsonl")) for row in made]
    # And once more, as merge writes what it has read.
    again = there_and_back([StoredRow(cells) for cells in found], suffix, READERS[suffix])
    assert list(map(repr, again)) == list(map(repr, found))


def csv_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def cell(value: object) -> str:
    """Return a value as CSV has it: six decimals, nothing for what is absent, no formula of a spreadsheet."""
    if isinstance(value, float):
        return f"{value:.{DECIMALS}f}"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


@FEWER
@given(ANY_ROWS)
def test_rows_come_back_from_csv(made):
    """Each text as it was, but for the apostrophe in front of what a spreadsheet would run."""
    found = there_and_back(made, ".csv", csv_rows)
    assert found == [{name: cell(value) for name, value in row.values().items()} for row in made]
    for read in found:
        assert not any(text.startswith(FORMULA_STARTS) for text in read.values() if not is_number(text))


def is_number(text: str) -> bool:
    return re.fullmatch(r"-?(\d+(\.\d+)?|inf)", text) is not None


@given(rows())
def test_a_row_is_printable_and_its_numbers_are_exact(row):
    """No line break or control character of a file reaches the columns of text, but for the path's own."""
    row.path.encode("utf-8")
    assert row.reason.isprintable()
    cells = row.values()
    assert list(cells) == list(COLUMNS)
    for name, chance in zip(CLASS_NAMES, row.probabilities, strict=False):
        assert cells[f"prob_{name}"] == pytest.approx(chance, abs=0.5000001 * 10**-DECIMALS)
    assert (cells["confidence"] is None) == (row.status != "ok")
