"""What guesses without lungs reach on the test images: the yardsticks of `xray-train yardsticks`."""

from __future__ import annotations

from pathlib import Path

from xray_infer.benchmarks.records.schema import Guess
from xray_infer.errors import DataError, MissingExtraError
from xray_infer.study.datasets import read_dataset
from xray_infer.terminal import Report
from xray_infer.train.data.yardsticks import yardsticks


def measure_guesses(data: Path, *, report: Report) -> list[Guess]:
    """Measure the yardsticks; none, and a line that says why, where that cannot be done."""
    try:
        found = yardsticks(read_dataset(data), report=report)
    except (DataError, MissingExtraError) as error:
        report(f"no yardsticks: {error}")
        return []
    return [Guess(one.name, one.test.images, round(one.test.accuracy * one.test.images)) for one in found]
