#!/usr/bin/env bash
# SlipCover measures no branches of test files under the newest pytest, and only warns.
#
# slipcover 1.1.0 with pytest 9.0.0 and 9.2.0, CPython 3.11, Linux.
#
# pytest compiles test files and conftest.py itself, to rewrite their assertions. For branch coverage SlipCover puts
# itself into that step, and first compares the parameters of three of pytest's internal functions with those that it
# knows. pytest 9.2 caches rewritten files by a hash of their source and has other parameters, so SlipCover warns
# "Unable to activate pytest branch coverage" and leaves the step alone. The report then has no branch of a test file,
# neither executed nor missing, and so a higher share than with pytest 9.0; --fail-under judges by that share. Lines, and
# the branches of modules that Python imports itself, are complete under both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > sign.py <<'PY'
def sign(number):
    if number < 0:
        return -1
    return 1
PY
cat > test_sign.py <<'PY'
from sign import sign


def test_sign():
    found = sign(3)
    if found < 0:
        found = -found
    assert found == 1
PY

measure() { # PYTEST_VERSION: print the branches of both files
    python3 -m venv "with-$1"
    "with-$1/bin/python" -m pip install -q --disable-pip-version-check slipcover==1.1.0 "pytest==$1"
    "with-$1/bin/python" -m slipcover --branch --json --out "$1.json" -m pytest -q test_sign.py > "said-$1" 2>&1
    grep -q "Unable to activate pytest branch coverage" "said-$1" && warned=yes || warned=no
    "with-$1/bin/python" - "$1" "$warned" <<'PY'
import json, sys

version, warned = sys.argv[1:]
files = json.load(open(f"{version}.json"))["files"]
for name in sorted(files):
    one = files[name]
    print(f"pytest {version}, warned: {warned}, {name}: executed {one['executed_branches']}, missing {one['missing_branches']}")
PY
}

for version in 9.0.0 9.2.0; do measure "$version"; done | tee seen
cat > expected <<'TEXT'
pytest 9.0.0, warned: no, sign.py: executed [[2, 4]], missing [[2, 3]]
pytest 9.0.0, warned: no, test_sign.py: executed [[6, 8]], missing [[6, 7]]
pytest 9.2.0, warned: yes, sign.py: executed [[2, 4]], missing [[2, 3]]
pytest 9.2.0, warned: yes, test_sign.py: executed [], missing []
TEXT
diff expected seen && echo "as described"
