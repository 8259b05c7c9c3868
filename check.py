"""The gate: lint, format, types, tests. `python check.py`, in an environment with [dev].

`--fast` leaves out the slow tests and pyright, `--coverage` measures which lines and branches the tests run;
all other arguments go to pytest.
Types are checked on an editable copy in `build/`: the package is mapped from several folders, which type
checkers can follow only once it is installed with setuptools' `editable_mode=strict`.
"""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).parent.resolve()
BUILD = REPOSITORY / "build"
EDITABLE = BUILD / "editable"  # a virtual environment of the project alone

# What mypy checks strictly, all source: the package as it is installed, and in the repository these.
TYPED = (
    "benchmarks/studies",
    "check.py",
    "docs",
    "samples",
    "setup.py",
    "tests/support",
    *("tests/conftest.py", "tests/properties/conftest.py", "tests/viewer/conftest.py"),
)
# Folders whose modules are imported by their bare names; pyproject.toml says the same to pytest and pyright.
BARE = ("docs", "samples", "tests/support")

# What `--fast` runs: the tests that say most in the least time. tests/house checks that all of them are
# there, and benchmarks/studies/mutations.py that they notice what must not go wrong.
FAST = (
    "tests/house",
    "tests/properties",
    "tests/images/test_decode.py",
    "tests/images/test_formats.py",
    "tests/model/test_manifest.py",
    "tests/run/test_engine.py",
    "tests/run/test_journal.py",
    "tests/run/test_writers.py",
    "tests/test_infer.py",
)
# A file's tests stay together on one of several processes; see tests/support/parallel.py. When one of them
# dies, the run ends: a process in its place would wait for groups that are given to nobody.
PARALLEL = (
    *("-n", "auto", "--maxprocesses", "8", "--max-worker-restart", "0"),
    *("--dist", "loadscope", "--no-loadscope-reorder"),
)
COVERAGE = ("slipcover", "-m")  # pyproject.toml says of what


def run(*arguments: str, **variables: str) -> None:
    """Run one step with this Python; stop at the first that fails."""
    print("$ python -m", *arguments, flush=True)
    done = subprocess.run([sys.executable, "-m", *arguments], env={**os.environ, **variables}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def install_editable() -> tuple[Path, Path]:
    """Install the project, editable and strictly, beside this Python's packages.

    Return the Python that finds it, and the folder with the links to its files.
    """
    shutil.rmtree(EDITABLE, ignore_errors=True)
    shutil.rmtree(BUILD / "lib", ignore_errors=True)  # setuptools would install what is gone from the source
    run("venv", "--without-pip", str(EDITABLE))
    (python, *_), (packages, *_) = sorted(EDITABLE.glob("*/python*")), [*EDITABLE.glob("**/site-packages")]
    strict = ("--no-deps", "--config-settings", "editable_mode=strict")
    run("pip", "--python", str(python), "install", "--quiet", *strict, "--editable", ".")
    # Only now: the build would take this Python's setuptools, which may be old, for its own.
    (packages / "others.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    (links,) = packages.glob("__editable__*.pth")
    return python, Path(links.read_text().strip())


def check_types(*, fast: bool) -> None:
    """Check all source strictly, and that an editor finds every module of the project that is imported."""
    python, links = install_editable()
    path = os.pathsep.join([str(links), *BARE])
    run("mypy", str(links / "xray_infer"), *TYPED, MYPYPATH=path)
    if not fast:
        list_own_imports(BUILD / "own_imports.py")
        run("pyright", "--pythonpath", str(python), "build/own_imports.py")


def list_own_imports(out: Path) -> None:
    """Write a module that imports every module of the project that any file imports.

    An editor's view of that is a matter of seconds; of all files, with what they import in turn, of minutes.
    """
    own = {"xray_infer", "benchmarks", *(path.stem for folder in BARE for path in Path(folder).glob("*.py"))}
    found: set[str] = set()
    for folder in ("infer", "train", "export", "benchmarks", "tests", "docs", "samples"):
        for path in Path(folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module)
    imports = sorted(name for name in found if name.partition(".")[0] in own)
    out.write_text("".join(f"import {name}\n" for name in imports))


def main(arguments: list[str]) -> None:
    """Run all steps."""
    os.chdir(REPOSITORY)
    fast, coverage = "--fast" in arguments, "--coverage" in arguments
    if fast and coverage:
        sys.exit("--fast runs too few tests for --coverage: give one of them")
    to_pytest = [one for one in arguments if one not in ("--fast", "--coverage")]
    run("ruff", "check")
    run("ruff", "format", "--check")
    # Beside the tests, which leave a processor idle while they wait for windows, clusters and hung decoders.
    with ThreadPoolExecutor(1) as beside:
        types = beside.submit(check_types, fast=fast)
        run(*(COVERAGE if coverage else ()), "pytest", *PARALLEL, *(FAST if fast else ()), *to_pytest)
        types.result()


if __name__ == "__main__":
    main(sys.argv[1:])
