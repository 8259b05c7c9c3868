"""What the window's threads share: what happens when one of them fails."""

from __future__ import annotations

import traceback

from PySide6.QtCore import QThread, Signal

from xray_infer.errors import XrayError


class WorkerThread(QThread):
    """A thread that tells the window why it ended, if it failed."""

    failed = Signal(str)  # what to tell the user

    def run(self) -> None:
        """Qt's entry."""
        try:
            self.work()
        except XrayError as error:
            self.failed.emit(str(error))
        except Exception as error:
            self.failed.emit(fault_message(error))

    def work(self) -> None:
        """Do the thread's work, to its end."""
        raise NotImplementedError


def fault_message(error: Exception) -> str:
    """Return what to tell the user of a bug in this program; print its traceback to the terminal."""
    traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"a fault of this program: {what}; report it with what the terminal shows"
