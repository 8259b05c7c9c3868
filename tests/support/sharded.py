"""Inputs and commands of tests that make shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from specimens import jpeg, png

from xray_infer.cli import main, merge_command

# Put on the path of every process: a decoder that crashes it on some pictures. OpenCV is patched late, and
# only once it is loaded by whoever decodes.
POISONED_CV2 = """
import importlib.abc, importlib.machinery, os, signal, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "xray_infer.images.decode":
            return None
        sys.meta_path.remove(self)
        import cv2
        really = cv2.imdecode
        def imdecode(data, flags):
            if bytes(data).endswith(b"POISON"):
                os.kill(os.getpid(), signal.SIGSEGV)
            return really(data, flags)
        cv2.imdecode = imdecode
        return None

sys.meta_path.insert(0, Finder())
"""


def infer(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def merged(shards: object, out: Path) -> bytes:
    """Merge shards and return the file's bytes."""
    result = CliRunner().invoke(merge_command, [str(shards), "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    return out.read_bytes()


def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Start the command as a process of its own; standard error is read from its `stderr`."""
    return subprocess.Popen(
        [sys.executable, "-m", "xray_infer", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def plant(root: Path, xray: np.ndarray, *, good: int = 24) -> Path:
    """Make a folder of good images with four bad inputs and two odd names among them."""
    (root / "ward b").mkdir(parents=True)
    for index in range(good):
        folder = root / "ward b" if index % 3 else root
        (folder / f"film{index:03}.png").write_bytes(png(np.roll(xray, 7 * index, axis=0)))
    (root / "empty.png").write_bytes(b"")
    (root / "half.jpg").write_bytes(jpeg(xray)[:900])
    (root / "text.png").write_bytes(b"no image")
    (root / "notes.txt").write_text("skipped")
    os.symlink(root / "nothing", root / "gone.png")
    (root / 'name "of",=cmd\n\udce9.png').write_bytes(png(xray))
    (root / "é.png").write_bytes(png(xray.T.copy()))
    return root


def poisoned(tmp_path: Path) -> str:
    """Return the PYTHONPATH under which a decoder crashes on files that end in POISON."""
    folder = tmp_path / "poison"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(POISONED_CV2)
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


def record_of(shards: Path) -> dict[str, Any]:
    """Return a local run's record."""
    record: dict[str, Any] = json.loads((shards / "run.json").read_text())
    return record
