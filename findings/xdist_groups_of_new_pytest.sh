#!/usr/bin/env bash
# pytest-xdist's groups silently do nothing with pytest 9.2.
#
# pytest-xdist 3.8.0 with pytest 9.0.0 and 9.2.0, CPython 3.11, Linux. https://github.com/pytest-dev/pytest-xdist/issues/1386
#
# With `--dist loadgroup`, tests that bear `xdist_group("one")` run in one worker, so that what they share is made once. The
# plugin says so by writing the group into each test's node id, which pytest 9.2 does not let it do any more; nothing fails and
# nothing is printed, but every test is dealt out alone. A fixture of module scope is then made once in each worker.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > test_shared.py <<'PY'
import os
import time

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(12))
def test_where(number):
    time.sleep(0.2)
    with open("workers", "a") as log:
        log.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY

for version in 9.0.0 9.2.0; do
    python3 -m venv "with-$version"
    "with-$version/bin/python" -m pip install -q --disable-pip-version-check pytest-xdist==3.8.0 "pytest==$version"
    rm -f workers
    "with-$version/bin/python" -m pytest -q -n 2 --dist loadgroup test_shared.py > "said-$version" 2>&1
    grep -q "12 passed" "said-$version"
    echo "pytest $version: 12 tests of one group ran in $(sort -u workers | wc -l) worker(s)"
done | tee seen
cat > expected <<'TEXT'
pytest 9.0.0: 12 tests of one group ran in 1 worker(s)
pytest 9.2.0: 12 tests of one group ran in 2 worker(s)
TEXT
diff expected seen && echo "as described"
