"""The rows of a page's table: each one line of JSON, streamed to a file and bounded in number.

A line is `[values of `shown`..., pictures, overlays]`. `pictures` is where the report's own pictures of the
image stand, below their folder, without a suffix, as a URL; null where there are none. `overlays`
are the files of `--heatmap` by what they show; null where there are none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from io import BufferedWriter
from pathlib import Path
from typing import Final

from xray_infer.outputs.overlays import Overlays
from xray_infer.outputs.page.page_text import data_json, quoted_path, relative_url, visible
from xray_infer.outputs.page.report_pictures import ReportPictures
from xray_infer.run.results import OK, Row, columns

_NOT_SHOWN: Final = frozenset(
    ("model", "model_sha256", "preprocessing_version", "runtime", "row_schema")  # the same in every row
)
# Some 5 MB: a browser sorts and filters so many in less than it takes to notice.
MOST_ROWS: Final = 20_000
_ANSWER, _NONE = b"+", b"-"


class PageRows:
    """Rows on their way into a page: of answers and of rows without one, at most `most` each are on disk.

    In the page go all without an answer first, as far as they fit, and as many others as there is room for;
    they stand in the order in which they came. `shown` are the columns that they have there.
    """

    def __init__(self, stream: BufferedWriter, class_names: Sequence[str], *, most: int = MOST_ROWS) -> None:
        self._stream, self._most = stream, most
        self.shown = [name for name in columns(class_names) if name not in _NOT_SHOWN]
        self.answers = self.without = 0

    @property
    def numbers(self) -> tuple[int, int]:
        """Numbers of the rows that go into the page: with an answer, and without."""
        without = min(self.without, self._most)
        return min(self.answers, self._most - without), without

    def add(self, row: Row, pictures: str | None, overlays: dict[str, str] | None) -> None:
        """Append a row, unless there are enough of its kind. Raises OSError."""
        judged = row.status == OK
        kept = self.answers if judged else self.without
        self.answers += judged
        self.without += not judged
        if kept < self._most:
            values = row.values()
            cells = [visible(v) if isinstance(v := values[name], str) else _finite(v) for name in self.shown]
            line = data_json([*cells, pictures, overlays])
            self._stream.write((_ANSWER if judged else _NONE) + line.encode("ascii") + b"\n")

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that go into the page. Raises OSError."""
        self._stream.flush()
        left = dict(zip((_ANSWER, _NONE), self.numbers, strict=True))
        with open(self._stream.name, "rb") as lines:
            for line in lines:
                if left[line[:1]] > 0:
                    left[line[:1]] -= 1
                    yield line[1:-1]


def own_pictures(pictures: ReportPictures, name: str) -> str:
    """Return an item's place in the report's folder of pictures, as a URL without a suffix."""
    stem = os.path.relpath(pictures.stem(name), pictures.folder)
    return quoted_path(stem.replace(os.sep, "/"))


def linked_overlays(overlays: Overlays | None, name: str, page: Path) -> dict[str, str] | None:
    """Return the URLs of an item's files of `--heatmap` by what they show."""
    if overlays is None:
        return None
    return {shown: relative_url(path, page) for shown, path in overlays.files(name).items()}


def _finite(value: float | int | None) -> float | int | None:
    """Return a number as JSON has it: a score that is none becomes null."""
    return None if value is None or value - value != 0 else value
