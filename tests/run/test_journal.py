"""The journal: what survives a kill, what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from full_disk import fill_disk
from places import SUPPORT

from xray_infer.errors import OutputError
from xray_infer.images.preprocess import Area
from xray_infer.run.journal import Journal
from xray_infer.run.results import Row, RowMaker, Rules

SAYS = approved("xray-infer")

MAKER = RowMaker("tiny", "0" * 64, "onnxruntime 1", Rules(2.5, 0.4), preprocessing_version=2)
LUNGS = Area(0.1, 0.1, 0.9, 0.9)
PRINT = {"model_sha256": "0" * 64, "ood_threshold": 2.5}


def opened(out, *, fingerprint=PRINT, restart=False) -> Journal:
    return Journal(out, fingerprint, MAKER, restart=restart)


def example_rows() -> dict[str, Row]:
    return {
        "a.png": MAKER.judged("a.png", (0.2, 0.7, 0.1), 1.25, LUNGS),
        'b\n"quoted".png': MAKER.judged(
            'b\n"quoted".png', np.array([0.35, 0.35, 0.3], np.float32), None, LUNGS
        ),
        "latin\udce9.png": MAKER.failed("latin\udce9.png", "error", "the file is empty"),
        "far.png": MAKER.judged("far.png", (0.9, 0.05, 0.05), 99.0, LUNGS),
        "nan.png": MAKER.judged("nan.png", (0.9, 0.05, 0.05), float("nan"), LUNGS),
        "ct.dcm": MAKER.failed("ct.dcm", "rejected", "not a radiograph: modality CT"),
        "none.png": MAKER.judged("none.png", (0.2, 0.7, 0.1), 1.25),
        "lungs.png": MAKER.judged("lungs.png", (0.2, 0.7, 0.1), 1.25, Area(1 / 3, 0.1, 0.9, 1 / 1.1)),
    }


@pytest.fixture
def out(tmp_path):
    return tmp_path / "r.csv"


@pytest.fixture
def filled(out):
    """A journal that an earlier run has left."""
    with opened(out) as journal:
        for name, row in example_rows().items():
            journal.append(name, "10 99", row)
    return journal.path


def test_rows_come_back_as_they_were(out, filled):
    with opened(out) as journal:
        assert journal.resumed == len(example_rows())
        for name, row in example_rows().items():
            assert repr(journal.find(name, "10 99")) == repr(row)  # repr: one score is no number
        assert [repr(row) for _, row in journal.rows()] == [repr(row) for row in example_rows().values()]


def test_changed_unknown_and_unstamped_inputs_are_not_found(out, filled):
    with opened(out) as journal:
        assert journal.find("a.png", "10 100") is None
        assert journal.find("c.png", "10 99") is None
        journal.append("d.png", "", example_rows()["a.png"])
    with opened(out) as journal:
        assert journal.find("d.png", "") is None


def test_the_newest_of_two_rows_of_one_input_counts(out, filled):
    newer = MAKER.failed("a.png", "error", "now it is damaged")
    with opened(out) as journal:
        journal.append("a.png", "10 99", newer)
    with opened(out) as journal:
        assert journal.find("a.png", "10 99") == newer


def test_every_truncation_keeps_the_whole_lines_before_it(out, filled):
    whole = filled.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(0, len(whole) + 1, 7):
        filled.write_bytes(whole[:length])
        with opened(out) as journal:
            lines = sum(end <= length for end in ends)
            assert journal.resumed == max(0, lines - 1)
            journal.append("new.png", "1 1", example_rows()["a.png"])
        with opened(out) as journal:  # what is appended after a torn line is whole
            assert journal.resumed == max(0, lines - 1) + 1
            assert journal.find("new.png", "1 1") is not None


def test_a_damaged_line_costs_itself_only(out, filled):
    lines = filled.read_bytes().splitlines(keepends=True)
    lines[2] = b'["b", garbage\n'
    filled.write_bytes(b"".join(lines))
    with opened(out) as journal:
        assert journal.resumed == len(example_rows()) - 1
        assert journal.find("a.png", "10 99") is not None
        assert journal.find('b\n"quoted".png', "10 99") is None
        assert len(list(journal.rows())) == len(example_rows()) - 1


def test_another_fingerprint_is_refused_with_the_difference(out, filled):
    before = filled.read_bytes()
    with pytest.raises(OutputError, match=SAYS["ood-threshold-was-is"]):
        opened(out, fingerprint={**PRINT, "ood_threshold": 3.0})
    with pytest.raises(OutputError, match=SAYS["heatmap-was-none-is"]):
        opened(out, fingerprint={**PRINT, "heatmap": "maps"})
    assert filled.read_bytes() == before


def test_restart_forgets(out, filled):
    with opened(out, fingerprint={"other": 1}, restart=True) as journal:
        assert journal.resumed == 0
        assert journal.find("a.png", "10 99") is None
    assert len(filled.read_bytes().splitlines()) == 1


@pytest.mark.parametrize("content", [b"path,status\n1,2\n", b"[]\n", b'{"journal": 1}\n', b"\xff\xfe\n"])
def test_a_file_that_is_no_journal_is_left_alone(out, content):
    path = out.with_name("r.csv.journal")
    path.write_bytes(content)
    with pytest.raises(OutputError, match="not a journal"):
        opened(out)
    assert path.read_bytes() == content


@pytest.mark.parametrize("version", [1, 99])
def test_a_journal_of_another_version_is_refused(out, version):
    out.with_name("r.csv.journal").write_text(json.dumps({"journal": version, "fingerprint": {}}) + "\n")
    with pytest.raises(OutputError, match="another version"):
        opened(out)


def test_two_runs_at_once_are_refused_and_the_first_is_unharmed(out):
    with opened(out) as journal:
        with pytest.raises(OutputError, match=SAYS["another-run-is-writing"]):
            opened(out, restart=True)
        code = (
            f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(SUPPORT)!r}]\n"
            "from pathlib import Path; import test_journal\n"
            "test_journal.opened(Path(sys.argv[1]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=False
        )
        assert SAYS["another-run-is-writing"] in done.stderr
        journal.append("a.png", "1 1", example_rows()["a.png"])
    with opened(out) as journal:
        assert journal.resumed == 1


def test_removed_when_all_is_done(out, filled):
    with opened(out) as journal:
        journal.remove()
    assert not filled.exists()
    with opened(out) as journal:
        assert journal.resumed == 0


def test_a_full_disk_is_one_error_and_loses_no_earlier_row(out, monkeypatch, tmp_path):
    with opened(out) as journal:
        journal.append("a.png", "1 1", example_rows()["a.png"])
    with monkeypatch.context() as patch:
        fill_disk(patch, tmp_path, room=40)
        with opened(out) as journal, pytest.raises(OutputError, match=SAYS["no-space-left-on-device"]):
            journal.append("far.png", "1 1", example_rows()["far.png"])
    with opened(out) as journal:
        assert journal.resumed == 1
        assert journal.find("a.png", "1 1") == example_rows()["a.png"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match=SAYS["r-csv-cannot-write"]):
        opened(tmp_path / "no" / "r.csv")


def test_memory_of_a_resumed_journal_is_sixteen_bytes_a_line(out):
    with opened(out) as journal:
        for number in range(500):
            journal.append(f"{number}.png", "1 1", example_rows()["a.png"])
    with opened(out) as journal:
        assert journal._hashes.nbytes + journal._positions.nbytes == 16 * 500
        assert all(journal.find(f"{number}.png", "1 1") for number in range(500))
    assert os.path.getsize(journal.path) < 500 * 200
