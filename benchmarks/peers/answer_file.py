"""What every peer's script shares: the files of the folder, its plain way to read one, and its answers.

OUT.csv has a line an image: name, number of the most probable class, and the probabilities. OUT.csv.json
says when the first answer was there, by `time.monotonic()`, which is one clock for all processes of the
machine, and how many there were.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.run.sources.folder import FileItem, local_source


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder, those that xray-infer would take.

    Raises SourceError where there are none.
    """
    return [item.path for item in local_source(folder) if isinstance(item, FileItem)]


def read_gray(path: Path, side: int) -> NDArray[np.uint8]:
    """Read an image as most people would with OpenCV: uint8 [side, side, 1]."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        sys.exit(f"{path}: OpenCV cannot read it")
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small[..., None], dtype=np.uint8)


class AnswerFile:
    """Writes the answers of a script; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("w", newline="", encoding="utf-8")
        self._table = csv.writer(self._stream)
        self._first: float | None = None
        self._images = 0

    def add(self, path: Path, probabilities: Any) -> None:
        """Write one image's answer, the probabilities of its classes."""
        if self._first is None:
            self._first = time.monotonic()
        values = np.asarray(probabilities, dtype=float).ravel().tolist()
        self._table.writerow([path.name, int(np.argmax(values)), *values])
        self._images += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if error is None:
            facts = {"first_answer": self._first, "images": self._images}
            self._path.with_name(f"{self._path.name}.json").write_text(json.dumps(facts), encoding="utf-8")


Script: TypeAlias = Callable[[Path, list[Path], AnswerFile], None]  # of MODEL and FOLDER's images


def run(scripts: Mapping[str, Script]) -> None:
    """Run one of a module's scripts on the command line's NAME MODEL FOLDER OUT.csv."""
    model, folder, out = map(Path, sys.argv[2:5])
    with AnswerFile(out) as answers:
        scripts[sys.argv[1]](model, image_files(folder), answers)
