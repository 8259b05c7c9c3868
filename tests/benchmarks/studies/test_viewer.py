"""The study of the window: a session of the window, and what is made of it."""

import pytest
from approved import approved
from click.testing import CliRunner
from places import REPOSITORY

from benchmarks.studies.folder_runs import Speeds
from benchmarks.studies.viewer.__main__ import main
from benchmarks.studies.viewer.session import FILLING, LEAFING, STILL, USED, Session
from benchmarks.studies.viewer.sessions import (
    Fill,
    memory_table,
    run_session,
    smoothness_table,
    start_table,
)
from xray_infer.errors import DataError

SAYS = approved("xray-bench")


def test_the_command_starts_fills_and_closes_windows(folder):
    done = CliRunner().invoke(
        main, [str(folder), "--images", "12", "--images", "24", "--rounds", "1", "--starts", "1"]
    )
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    marks = [line.split("|")[1].strip() for line in lines[2:8]]
    assert sorted(marks) == sorted(
        ["Python", "the window is drawn", "the list", "the first picture", "the first answer", "it is closed"]
    )
    (first, second) = [line for line in lines if line.startswith(("| 12 |", "| 24 |"))][:2]
    assert "| 1.000 (1.000-1.000) |" in first
    assert float(second.split("|")[4].split()[0]) > 100  # three processes that decode
    for count in (12, 24):
        for name in (
            f"late while {STILL}",
            f"late while {FILLING}",
            f"late while {USED}",
            "drawing the list",
        ):
            assert any(line.startswith(f"| {count} | {name}") for line in lines), (count, name)
        assert any(f"| {count} | from a film chosen to its picture, {LEAFING} |" in line for line in lines)


def test_a_window_that_does_not_come_to_its_end_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "none")
    with pytest.raises(DataError, match=SAYS["the-window-ended-with"]):
        run_session(tmp_path, "start")


def session(**changes) -> Session:
    fields = {
        "marks": {"the window is drawn": 300.0},
        "late": {STILL: [0.0, 1.0], FILLING: [2.0, 60.0]},
        "frames": [3.0],
        "pictures": {USED: [40.0]},
        "peaks_mb": [200.0, 300.0],
        "images_per_s": {FILLING: 50.0, USED: 25.0},
    }
    return Session(**{**fields, **changes})


def test_tables_compare_with_the_first_count_round_by_round():
    command = Speeds(images_per_s=[100.0, 50.0])
    runs = {
        100: Fill([session(), session(peaks_mb=[100.0, 300.0])], command),
        200: Fill([session(), session()], command),
    }
    last = memory_table(runs).splitlines()[-1]
    assert last.startswith("| 200 | 200.0 (200.0-200.0) | 1.500 (1.000-2.000) | 300 (300-300) | 50.0 (50.0-")
    assert last.endswith("| 0.75 (0.50-1.00) | 0.38 (0.25-0.50) |")
    assert "| the window is drawn | 300 (200-400) |" in start_table(
        [session(marks={"the window is drawn": ms}) for ms in (200.0, 300.0, 400.0)]
    )
    assert "| 100 | late while filling | 31.0 | 60.0 | 60.0 | 50.00% |" in smoothness_table(runs)


def test_the_documents_figures_are_those_that_were_printed():
    document = (REPOSITORY / "docs" / "evidence" / "speed.md").read_text(encoding="utf-8")
    look = document[document.index("## The window") :]
    tables = (REPOSITORY / "benchmarks" / "results" / "viewer.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in tables.splitlines() if "|" in line]
    printed = {tuple(row[:2]) if len(row) == 6 else row[0]: row for row in rows}
    used = ("5,000", f"late while {USED}")
    expected = [
        f"{float(printed['the window is drawn'][1].split()[0]) / 1000:.2f} s",
        f"{float(printed['the first answer'][1].split()[0]) / 1000:.2f} s",
        *printed["5,000"][5:7],
        f"{printed[used][2]} ms in the median",
        *(f"{float(ms):.0f} ms" for ms in printed[used][3:5]),
        f"by {float(printed['5,000', f'late while {FILLING}'][4]):.0f} ms",
        *(f"{float(printed[count][1].split()[0]):.0f} MB with {count}" for count in ("500", "5,000")),
    ]
    assert [figure for figure in expected if figure not in look.replace("\n", " ")] == []
