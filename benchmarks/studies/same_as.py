"""Does this tree answer as another commit does, byte for byte?

`python -m benchmarks.studies.same_as COMMIT FOLDER ...` installs both, the tree as it stands and the commit,
each in a folder of its own and under one version number. It runs the same commands of both over each FOLDER
(with `--specimens` also over the tests' files), and compares all that they write: rows in every format, heat
maps, pages, DICOM objects, standard error. `--keras MODEL DATA` compares the files that `xray-export` makes.

What must differ between two runs of one program is masked first: times, durations, rates, memory, process
numbers, the dates in DICOM objects and the moment in the page. Nothing else is.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import cv2
import numpy as np

from xray_infer import __version__
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError
from xray_infer.terminal import Report, debug_option, one_line_errors, say

REPOSITORY: Final = Path(__file__).parents[2]
VERSION: Final = re.compile(r'^(__version__|version) = "[^"]*"$', re.MULTILINE)
INFER: Final = ("-m", "xray_infer")
EXPORT: Final = ("-c", "from xray_infer.export.cli import main; main()")
# Name of the run, options; `{out}` is the folder of the run.
RUNS: Final[Mapping[str, Sequence[str]]] = {
    "csv": ("--out", "{out}/r.csv"),
    "jsonl": ("--out", "{out}/r.jsonl", "--format", "tflite"),
    "parquet": ("--out", "{out}/r.parquet", "--isolate"),
    "batches": ("--out", "{out}/r.csv", "--batch-size", "4", "--min-confidence", "0.8"),
    "all beside": (
        *("--out", "{out}/r.csv", "--heatmap", "{out}/maps", "--heatmap-for", "all", "--heatmap-raw"),
        *("--report", "{out}/page.html", "--dicom-out", "{out}/objects", "--ood-threshold", "inf"),
    ),
    "shards": ("--out", "{out}/shards/", "--shard-size", "20"),
    "standard output": ("--out", "-", "--model", "feature_extraction"),
}
# Rows come from threads in the order of the source, so that nothing has to be sorted.
WORKERS: Final = "2"
# What tells the moment or the machine's mood: keys of a record, and words in text; each becomes `#`.
MOODY_KEYS: Final = frozenset(("time", "peak_memory_mb"))
MOODS: Final = (
    re.compile(r"[^\n]*\d images, [^\n]*images/s[^\n]*\n"),  # how far it is
    re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:[+-]\d\d:\d\d|Z)?(?: UTC)?"),
    re.compile(r"\b[\d.,]+(?: |&nbsp;)?(?:s|ms|min|h|images/s|images a second|MB|MiB)\b"),
)
# Elements of the moment in a DICOM object: dates, times and their combinations, by VR.
MOMENTS: Final = frozenset(("DA", "TM", "DT"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run of both programs: how many files they wrote, and the names of those that differ."""

    name: str
    folder: str
    files: int
    different: tuple[str, ...]


def install(tree: Path, target: Path) -> Path:
    """Install a source tree, without what it needs, into a folder for PYTHONPATH; return that folder."""
    for path in (tree / "pyproject.toml", tree / "infer" / "__init__.py"):
        path.write_text(VERSION.sub(rf'\1 = "{__version__}"', path.read_text(encoding="utf-8")))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        str(tree),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"{tree}: pip cannot install it: {done.stderr.strip().splitlines()[-1]}")
    return target


def unpack(commit: str, place: Path) -> Path:
    """Write a commit's files into a folder. Raises DataError for what git does not know."""
    done = subprocess.run(["git", "-C", str(REPOSITORY), "archive", commit], capture_output=True, check=False)
    if done.returncode:
        raise DataError(f"{commit}: git knows no such commit; give one of `git log`")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(place, filter="data")
    return place


def unpack_tree(place: Path) -> Path:
    """Write the tracked files of this tree, as they stand, into a folder."""
    listed = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files", "-z"], capture_output=True, check=True
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(source.read_bytes())
    return place


def run(package: Path, program: Sequence[str], arguments: Sequence[str], out: Path) -> None:
    """Run a command of an installed program, and keep what it printed and its status in `out`."""
    out.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(package), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, *program, *(part.replace("{out}", str(out)) for part in arguments)],
        cwd=out,
        env=environment,
        capture_output=True,
        check=False,
    )
    (out / "printed.txt").write_bytes(done.stdout)
    (out / "said.txt").write_bytes(done.stderr)
    (out / "status.txt").write_text(str(done.returncode))


def contents(out: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file of a run, by name, as it is compared."""
    for path in sorted(out.rglob("*")):
        if path.is_file():
            mask = MASKS.get(path.suffix, _as_it_is)
            # The folder of the run stands in records, pages and messages.
            yield str(path.relative_to(out)), mask(path).replace(str(out).encode(), b"OUT")


def _as_it_is(path: Path) -> bytes:
    return path.read_bytes()


def _text(path: Path) -> bytes:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    for mood in MOODS:
        text = mood.sub("#", text)
    return text.encode("utf-8", "surrogateescape")


def _json(path: Path) -> bytes:
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in MOODY_KEYS & content.keys():
        content[key] = "#"
    return json.dumps(content).encode()


def _dicom(path: Path) -> bytes:
    from pydicom import dcmread
    from pydicom.dataset import Dataset

    def blank(dataset: Dataset) -> None:
        for element in dataset:
            if element.VR == "SQ":
                for item in element.value:
                    blank(item)
            elif element.VR in MOMENTS:
                element.value = ""

    dataset = dcmread(path)
    blank(dataset)
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


MASKS: Final[Mapping[str, Callable[[Path], bytes]]] = {
    ".json": _json,
    ".html": _text,
    ".txt": _text,
    ".dcm": _dicom,
}


def compare(name: str, folder: str, old: Path, new: Path) -> Comparison:
    """Compare what two runs left."""
    before, after = dict(contents(old)), dict(contents(new))
    if not after:
        raise DataError(f"{folder}, {name}: nothing was written; {new.parent} says why")
    different = [one for one in {**before, **after} if before.get(one) != after.get(one)]
    return Comparison(name, folder, len(after), tuple(sorted(different)))


def make_specimens(place: Path) -> Path:
    """Make the tests' hostile files, but for devices and closed folders, and films in DICOM's pixel forms."""
    sys.path.insert(0, str(REPOSITORY / "tests" / "support"))
    from dicom_files import LOSSLESS, NATIVE, dicom
    from hostile_files import samples

    for number, one in enumerate(samples()):
        (place / f"{number:04}{one.suffix}").write_bytes(one.data)
    phantom = cv2.imread(str(REPOSITORY / "samples" / "phantom_focal_1.png"), cv2.IMREAD_GRAYSCALE)
    assert phantom is not None
    forms = itertools.product((*NATIVE, *LOSSLESS), ("MONOCHROME1", "MONOCHROME2"), (8, 12, 16))
    for number, (syntax, photometric, bits) in enumerate(forms):
        pixels = phantom if bits == 8 else phantom.astype(np.uint16) << bits - 8
        data = dicom(
            pixels,
            syntax=syntax,
            bits=bits,
            PhotometricInterpretation=photometric,
            StudyInstanceUID="1.2.3.1",
            SeriesInstanceUID="1.2.3.2",
            SOPInstanceUID=f"1.2.3.{number + 3}",
        )
        (place / f"film {number:03}.dcm").write_bytes(data)
    return place


def compare_all(
    packages: tuple[Path, Path], folders: Sequence[Path], place: Path, *, report: Report
) -> list[Comparison]:
    """Run every command of RUNS over every folder by both programs, and compare them."""
    found = []
    for folder in folders:
        for name, options in RUNS.items():
            outs = []
            for which, package in zip(("old", "new"), packages, strict=True):
                # One name of the same length for both: messages are cut at a length.
                out = place / which / f"{folder.name} {name}".replace(" ", "-")
                run(package, INFER, [str(folder), "--workers", WORKERS, *options], out)
                outs.append(out)
            found.append(compare(name, folder.name, *outs))
            report(f"{folder.name}, {name}: {found[-1].files} files, {len(found[-1].different)} differ")
    return found


def compare_exports(
    packages: tuple[Path, Path], model: Path, data: Path, place: Path, *, report: Report
) -> Comparison:
    """Export every recipe of a Keras model by both programs, and compare the files."""
    outs = []
    for which, package in zip(("old", "new"), packages, strict=True):
        out = place / which / "exports"
        arguments = [str(model), "--quantize", "all", "--data", str(data), "--out", "{out}/made"]
        run(package, EXPORT, [*arguments, "--calibration-images", "12"], out)
        outs.append(out / "made")
    found = compare("export", model.name, *outs)
    report(f"{model.name}, export: {found.files} files, {len(found.different)} differ")
    return found


def table(found: Sequence[Comparison]) -> str:
    """Return Markdown: one line a run, with the names of what differs."""
    lines = ["| source | run | files compared | differ |", "|---" * 4 + "|"]
    for one in found:
        named = ", ".join(one.different[:5]) + (" and others" if len(one.different) > 5 else "")
        lines.append(f"| {one.folder} | {one.name} | {one.files} | {len(one.different)} {named} |")
    return "\n".join(lines)


@click.command(epilog=RESEARCH_NOTICE)
@click.argument("commit")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--specimens", is_flag=True, help="Compare over the tests' hostile files too.")
@click.option(
    "--keras",
    nargs=2,
    type=click.Path(path_type=Path, exists=True),
    help="A .keras model and its data set, to compare exports of.",
)
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Folder to keep what both wrote. [default: none]"
)
@debug_option
def main(
    commit: str,
    folders: tuple[Path, ...],
    specimens: bool,
    keras: tuple[Path, Path] | None,
    keep: Path | None,
    debug: bool,
) -> None:
    """Compare what this tree and COMMIT write for the images of each of FOLDERS."""
    with one_line_errors("same_as", debug=debug), tempfile.TemporaryDirectory() as temporary:
        place = keep or Path(temporary)
        trees = Path(temporary)
        old = install(unpack(commit, trees / "old tree"), trees / "old package")
        new = install(unpack_tree(trees / "new tree"), trees / "new package")
        sources = [folder.resolve() for folder in folders]
        if specimens:
            (trees / "specimens").mkdir()
            sources.append(make_specimens(trees / "specimens"))
        found = compare_all((old, new), sources, place, report=say)
        if keras:
            found.append(
                compare_exports((old, new), keras[0].resolve(), keras[1].resolve(), place, report=say)
            )
        click.echo(table(found))
        digest = hashlib.sha256(table(found).encode()).hexdigest()[:12]
        click.echo(f"\n{commit} against the tree of version {__version__}; digest of this table {digest}")
        sys.exit(1 if any(one.different for one in found) else 0)


if __name__ == "__main__":
    main()
