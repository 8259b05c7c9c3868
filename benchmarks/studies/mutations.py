"""Whether the fast tests notice what must not go wrong: `python -m benchmarks.studies.mutations`.

Each mutation is made in a copy of the repository, in which the tests of `check.py --fast` then run; one that
they let pass has survived. With names of mutations, these alone. The copy is put in front of what is
installed, so that the environment of [dev] serves as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
LEFT_OUT: Final = shutil.ignore_patterns(
    ".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache", "runs"
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault: in `file`, what `pattern` matches, once, becomes `fault`."""

    name: str
    file: str
    pattern: str
    fault: str


MUTATIONS: Final = (
    # Batching that is off by one.
    Mutation(
        "a batch of one more",
        "infer/run/engine.py",
        r"len\(group\) == \(batch_size",
        "len(group) == (batch_size + 1",
    ),
    Mutation("the last task of a batch lost", "infer/run/engine.py", r"(self\._work, group)\)", r"\1[:1])"),
    Mutation(
        "the next picture's answer",
        "infer/run/engine.py",
        r"output\.probabilities\[position\]",
        "output.probabilities[position - 1]",
    ),
    Mutation(
        "a batch filled up with one too few",
        "infer/run/engine.py",
        r"missing = -count % size",
        "missing = max(0, -count % size - 1)",
    ),
    # Classes that are swapped.
    Mutation(
        "labels in another order",
        "infer/run/results.py",
        r"label = self\.class_names\[chances\.index",
        "label = self.class_names[::-1][chances.index",
    ),
    Mutation(
        "columns in another order",
        "infer/run/results.py",
        r"zip\(names, chances,",
        "zip(list(names)[::-1], chances,",
    ),
    Mutation(
        "classes in another order", "infer/classes.py", r"\"covid\", \"pneumonia\"", '"pneumonia", "covid"'
    ),
    Mutation(
        "a runtime's outputs in another order",
        "infer/model/runtimes/__init__.py",
        r"self\.probabilities\[:count\]",
        "self.probabilities[:count, ::-1]",
    ),
    # A line of the journal that is lost.
    Mutation(
        "a row that is not written",
        "infer/run/journal.py",
        r"( +)self\._write\(entry\)",
        r"\1if len(name) % 4:\n\1    self._write(entry)",
    ),
    Mutation(
        "a line that is not read",
        "infer/run/journal.py",
        r"np\.frombuffer\(hashes, np\.uint64\)\[::-1\]",
        "np.frombuffer(hashes, np.uint64)[:0:-1]",
    ),
)


def copy_repository(folder: Path) -> Path:
    """Copy the repository and install the copy beside what is installed; return the Python that finds it."""
    shutil.copytree(REPOSITORY, folder, ignore=LEFT_OUT)
    code = "import check; print(check.install_editable()[0])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(done.stdout.splitlines()[-1])


def fast_tests(folder: Path) -> list[str]:
    """Return what `check.py --fast` runs, but for the tests of the house: they look at no behaviour."""
    code = "import check; print(*check.FAST)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    return [one for one in done.stdout.split() if one != "tests/house"]


def first_failure(python: Path, folder: Path) -> str | None:
    """Run the fast tests until one fails; return its name, None when all pass."""
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-x",
        "-n",
        "auto",
        "-p",
        "no:cacheprovider",
        *fast_tests(folder),
    ]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return found[1] if found else f"exit status {done.returncode}"


def is_killed(mutation: Mutation, python: Path, folder: Path) -> bool:
    """Make one mutation, run the tests, undo it, and print what became of it."""
    path = folder / mutation.file
    text = path.read_text(encoding="utf-8")
    mutated, places = re.subn(mutation.pattern, mutation.fault, text)
    if places != 1:
        raise SystemExit(f"{mutation.name}: its pattern is in {mutation.file} {places} times, not once")
    path.write_text(mutated, encoding="utf-8")
    failure = first_failure(python, folder)
    path.write_text(text, encoding="utf-8")
    print(f"{'SURVIVED' if failure is None else 'killed'}: {mutation.name}", failure or "", flush=True)
    return failure is not None


def main(names: list[str]) -> int:
    """Try the mutations of these names, by default all; return 1 when one has survived."""
    unknown = set(names) - {one.name for one in MUTATIONS}
    if unknown:
        raise SystemExit(f"no mutation {sorted(unknown)}; there are {[one.name for one in MUTATIONS]}")
    chosen = [one for one in MUTATIONS if not names or one.name in names]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "copy")
        python = copy_repository(folder)
        failure = first_failure(python, folder)
        if failure:
            raise SystemExit(f"{failure} fails without a mutation")
        killed = [is_killed(one, python, folder) for one in chosen]
    print(f"{sum(killed)} of {len(killed)} mutations killed")
    return int(not all(killed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
