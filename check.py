"""The gate: lint, format, strict types on the core, tests. `python check.py`, in an environment with [dev].

Types are checked on an installed copy: the package is mapped from several folders, which mypy can only
follow once it is installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent
TYPED = REPOSITORY / "build" / "typed"


def run(*arguments: str, **variables: str) -> None:
    """Run one step with this Python; stop at the first that fails."""
    print("$ python -m", *arguments, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=REPOSITORY, env={**os.environ, **variables}, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)


def core_files() -> list[str]:
    """List the installed copy's core: the package itself and what lies in its own folder."""
    package = TYPED / "xray_infer"
    folders = [path.parent.name for path in REPOSITORY.glob("infer/*/__init__.py")]
    return sorted(
        map(str, [*package.glob("*.py"), *(f for name in folders for f in package.glob(f"{name}/**/*.py"))])
    )


run("ruff", "check")
run("ruff", "format", "--check")
shutil.rmtree(REPOSITORY / "build", ignore_errors=True)
run("pip", "install", "--quiet", "--no-deps", "--target", str(TYPED), ".")
run("mypy", *core_files(), MYPYPATH=str(TYPED))
run("pytest", *sys.argv[1:])
