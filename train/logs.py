"""The logs of one method's training: a CSV table and TensorBoard events, a row an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboard.summary import Writer

from xray_infer.atomic import write_text


class EpochLogs:
    """Writes METHOD.log.csv anew and adds to tensorboard/METHOD after each epoch.

    A resumed run goes on in both; TensorBoard shows its event files as one curve.
    """

    def __init__(self, out: Path, method: str) -> None:
        self._csv = out / f"{method}.log.csv"
        self._events = out / "tensorboard" / method
        self._writer: Writer | None = None

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log the last row of the history (`history` holds every epoch so far)."""
        text = io.StringIO()
        table = csv.DictWriter(text, ["epoch", *history[-1]], lineterminator="\n")
        table.writeheader()
        for epoch, row in enumerate(history, start=1):
            table.writerow({"epoch": epoch, **row})
        write_text(self._csv, text.getvalue())
        if self._writer is None:
            self._writer = Writer(str(self._events))
        for name, value in history[-1].items():
            self._writer.add_scalar(name, value, step=len(history))
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
