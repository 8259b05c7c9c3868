"""What the window asks a person: which files to open, where to save. It begins where the last answer was."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget


class Asking:
    """Dialogs over a window; each returns nothing when it is left without an answer."""

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent
        self._folder = str(Path.cwd())

    def files(self) -> list[str]:
        """Ask for images to open."""
        paths, _ = QFileDialog.getOpenFileNames(self._parent, "Open images", self._folder)
        if paths:
            self._folder = str(Path(paths[0]).parent)
        return paths

    def folder(self) -> list[str]:
        """Ask for a folder to open."""
        path = QFileDialog.getExistingDirectory(self._parent, "Open a folder", self._folder)
        self._folder = path or self._folder
        return [path] if path else []

    def where(self, name: str, kinds: str) -> Path | None:
        """Ask where to save a file, by default under `name`; `kinds` in Qt's form."""
        path, _ = QFileDialog.getSaveFileName(self._parent, "Save", str(Path(self._folder, name)), kinds)
        if not path:
            return None
        self._folder = str(Path(path).parent)
        return Path(path)
