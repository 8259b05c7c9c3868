"""One line of training progress now and then, with the time left."""

from __future__ import annotations

import time
from typing import Any, Final

import keras

from xray_infer.terminal import Report

SECONDS_BETWEEN_LINES: Final = 30


class Progress(keras.callbacks.Callback):
    """Reports each epoch, and long epochs on the way. Time left counts the rest of this method."""

    def __init__(self, method: str, steps: int, report: Report) -> None:
        super().__init__()
        self._method, self._steps, self._report = method, steps, report
        self._started = self._spoken = time.monotonic()
        self._steps_done = 0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras's hook."""
        if self._steps_done == 0:
            self._started = self._spoken = time.monotonic()
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras's hook."""
        self._steps_done += 1
        if time.monotonic() - self._spoken >= SECONDS_BETWEEN_LINES:
            self._say(f"step {batch + 1}/{self._steps}", logs or {}, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras's hook."""
        self._say("done", logs or {}, self._steps)

    def _say(self, where: str, logs: dict[str, Any], step: int) -> None:
        self._spoken = time.monotonic()
        left = (self.params["epochs"] - self._epoch) * self._steps - step
        minutes = left * (self._spoken - self._started) / max(1, self._steps_done) / 60
        figures = ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
        self._report(
            f"{self._method}: epoch {self._epoch + 1}/{self.params['epochs']} {where}, {figures}, "
            f"about {minutes:.0f} min left"
        )
