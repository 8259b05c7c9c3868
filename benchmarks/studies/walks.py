"""How many of the program's own files one image passes through: `python -m benchmarks.studies.walks IMAGE`.

The number that tells how far a reader must go to follow a datum. The command runs on one image, once for its
row and once for its heat map, in a process that notes every function that is called (`sys.setprofile`). A
file counts where one of its functions is called, while it runs: what only runs as the file is imported
(module and class bodies, decorators) does not. The worker is the engine's thread that reads, decodes and
classifies; the process is all threads together.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.studies.study_command import study
from xray_infer.errors import XrayError

# Runs in the Python of the program that is measured, which may be another version of it.
_NOTE_CALLS: Final = """
import json, os, sys, threading
arguments, answer = json.loads(sys.argv[1]), sys.argv[2]
files = {"process": set(), "worker": set()}
import xray_infer
root = os.path.dirname(os.path.abspath(xray_infer.__file__)) + os.sep
OPTIMIZED = 1  # of functions, not of module and class bodies


def importing(frame):
    while frame is not None:
        if "importlib" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def note(frame, event, _):
    code = frame.f_code
    if event == "call" and code.co_flags & OPTIMIZED and code.co_filename.startswith(root):
        name = code.co_filename[len(root):]
        places = ["process"]
        if threading.current_thread().name.startswith("classify"):
            places.append("worker")
        if not all(name in files[place] for place in places) and not importing(frame):
            for place in places:
                files[place].add(name)


threading.setprofile(note)
sys.setprofile(note)
sys.argv = ["xray-infer", *arguments]
try:
    from xray_infer.cli import entry
    entry()
except SystemExit as end:
    status = end.code
sys.setprofile(None)
with open(answer, "w") as stream:
    json.dump({"status": status, **{place: sorted(names) for place, names in files.items()}}, stream)
"""


@dataclass(frozen=True, slots=True)
class Walk:
    """The files, relative to the package, that one image's way passed through; sorted."""

    worker: Sequence[str]
    process: Sequence[str]


def measure(python: Path, image: Path, *options: str) -> Walk:
    """Return the walk of one image by the program in this Python. Raises XrayError where the run fails."""
    with tempfile.TemporaryDirectory() as folder:
        answer, out = Path(folder, "answer.json"), Path(folder, "rows.csv")
        given = [str(image.resolve()), "--out", str(out), *(one.format(folder=folder) for one in options)]
        command = [str(python), "-c", _NOTE_CALLS, json.dumps(given), str(answer)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode or not answer.exists() or not out.exists():
            raise XrayError(f"the program fails under observation: {done.stderr.strip()[-300:]}")
        found = json.loads(answer.read_text(encoding="utf-8"))
    return Walk(found["worker"], found["process"])


WALKS: Final = {
    "an image's bytes to its CSV row": (),
    "an image to its heat map": ("--heatmap", "{folder}/maps"),
}


@study("walks")
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path(sys.executable),
    help="Python of the program to measure. Default: the one that runs this.",
)
@click.option("--list", "list_files", is_flag=True, help="Name the files.")
def main(image: Path, python: Path, list_files: bool) -> None:
    """Count the program's own files that IMAGE passes through, in the worker and in the process."""
    for what, options in WALKS.items():
        walk = measure(python, image, *options)
        click.echo(f"{what}: {len(walk.worker)} files in the worker, {len(walk.process)} in the process")
        if list_files:
            for name in walk.process:
                click.echo(f"  {'worker ' if name in walk.worker else '       '}{name}")


if __name__ == "__main__":
    main()
