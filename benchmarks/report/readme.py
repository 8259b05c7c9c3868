"""The table that stands in the README, between two marks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from xray_infer.atomic import write_text
from xray_infer.errors import DataError

BEGIN: Final = "<!-- xray-bench: begin -->"
END: Final = "<!-- xray-bench: end -->"


def between_marks(text: str, path: Path) -> tuple[str, str, str]:
    """Return what stands before, between and after the marks. Raises DataError without them."""
    before, begin, rest = text.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{path}: has no place for the table; add a line {BEGIN} and after it a line {END}")
    return before + BEGIN, between, END + after


def put_table(path: Path, table: str) -> None:
    """Replace what stands between the marks of a file; the rest stays byte for byte."""
    try:
        text = path.read_bytes().decode()  # not as text: line ends stay what they are
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8; save it so") from error
    before, _, after = between_marks(text, path)
    write_text(path, f"{before}\n{table}\n{after}")
