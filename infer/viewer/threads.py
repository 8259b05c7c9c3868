"""What the window's threads share: how they end when something goes wrong."""

from __future__ import annotations

import traceback

from PySide6.QtCore import QThread, Signal

from xray_infer.errors import XrayError


class Thread(QThread):
    """A thread whose last word, should it fail, reaches the window."""

    broken = Signal(str)  # it has ended for a fault; what to tell

    def run(self) -> None:
        """Qt's entry."""
        try:
            self.work()
        except XrayError as error:
            self.broken.emit(str(error))
        except Exception as error:
            self.broken.emit(fault(error))

    def work(self) -> None:
        """Do the thread's work, to its end."""
        raise NotImplementedError


def fault(error: Exception) -> str:
    """Return what to tell of an error that is no one's but ours; the terminal gets its traceback."""
    traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"a fault of this program: {what}; report it with what the terminal shows"
