#!/usr/bin/env bash
# pip's build isolation does not hold against a .pth file of the target environment.
#
# pip 23.2.1 and pip 25.3, CPython 3.11, setuptools 65.5.0 and 80.9.0, Linux.
#
# A virtual environment can look at another one's packages through a line `import site; site.addsitedir(...)` in a
# .pth file. When pip builds a package for it (`pip --python ENV/bin/python install .`), the build runs in ENV's
# interpreter with the build requirements in front by PYTHONPATH, and pip takes ENV's own site-packages off the path.
# What the .pth file adds stays, and stands before the build requirements: a project that requires setuptools>=77,
# which knows a licence as plain text (PEP 639), is built by the setuptools 65.5.0 next door and is refused.
# Without the .pth file the same command succeeds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir project
cat > project/pyproject.toml <<'TOML'
[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"
[project]
name = "plain"
version = "1"
license = "Apache-2.0"
[tool.setuptools]
py-modules = []
TOML

build() { # PIP_VERSION: build for an environment without, then with, the .pth file
    python3 -m venv "others-$1"
    "others-$1/bin/python" -m pip install -q --disable-pip-version-check "pip==$1" setuptools==65.5.0
    packages=$("others-$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    python3 -m venv --without-pip "target-$1"
    own=$("target-$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    install=("others-$1/bin/python" -m pip --disable-pip-version-check --python "target-$1/bin/python" install -q --no-deps
        --force-reinstall ./project)
    "${install[@]}" && echo "pip $1, without .pth: built"
    echo "import site; site.addsitedir('$packages')" > "$own/others.pth"
    if "${install[@]}" > "said-$1" 2>&1; then
        echo "pip $1, with .pth: built"
    else
        grep -m1 -o 'project.license. must be valid exactly by one definition' "said-$1" | sed "s/^/pip $1, with .pth: refused: /"
    fi
}

for version in 23.2.1 25.3; do build "$version"; done | tee seen
cat > expected <<'TEXT'
pip 23.2.1, without .pth: built
pip 23.2.1, with .pth: refused: project.license` must be valid exactly by one definition
pip 25.3, without .pth: built
pip 25.3, with .pth: refused: project.license` must be valid exactly by one definition
TEXT
diff expected seen && echo "as described"
