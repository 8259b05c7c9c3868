"""How many workers there are by default: affinity and the container's quota."""

import os
import subprocess
import sys

import pytest

from xray_infer import host


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A made-up control-group tree; returns a function that plants files in it."""
    monkeypatch.setattr(host, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(host, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(host, "allowed_processors", lambda: 8)

    def plant(own: str, **files: str) -> None:
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return plant


@pytest.mark.parametrize(
    ("own", "files", "quota", "workers"),
    [
        ("0::/\n", {}, None, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None, 8),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2.5, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5, 1),
        ("0::/a/b\n", {"cpu.max": "max 1", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 1"}, 3.0, 3),
        ("0::/of/the/host\n", {"cpu.max": "400000 100000"}, 4.0, 4),
        (
            "4:memory:/x\n3:cpu,cpuacct:/\n",
            {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"},
            1.5,
            1,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, 8),
        ("0::/\n", {"cpu.max": "garbage\n"}, None, 8),
        ("0::/../..\n", {"cpu.max": "200000 100000"}, 2.0, 2),
    ],
)
def test_the_quota_bounds_the_workers(groups, own, files, quota, workers):
    groups(own, **files)
    assert host.processor_quota() == quota
    assert host.default_workers() == workers


def test_without_control_groups_the_affinity_counts(groups):
    assert host.processor_quota() is None
    assert host.default_workers() == 8


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this system")
def test_the_affinity_mask_counts():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from xray_infer.host import default_workers; print(default_workers())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"


def test_a_store_gets_more_workers_than_processors():
    from xray_infer.run.object_store import WORKERS_THAT_WAIT, workers_for

    assert workers_for("/films", 2) == 2
    assert workers_for("s3://films", 2) == 2 * WORKERS_THAT_WAIT
    assert workers_for("/films", 0.5) == 1
