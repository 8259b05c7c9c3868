"""Libraries write to descriptor 2; the user reads sys.stderr."""

import io
import os
import subprocess
import sys

import pytest

from xray_infer.terminal import hide_native_output

PROGRAM = """
import os, sys
import click
from xray_infer.terminal import hide_native_output
os.write(2, b"library before\\n")
try:
    with hide_native_output():
        os.write(2, b"library within\\n")
        os.system("echo child within >&2")
        print("person within", file=sys.stderr)
        click.echo("click within: \u00e9", err=True)
        raise KeyError
except KeyError:
    print("person after", file=sys.stderr)
os.write(2, b"library after\\n")
print(len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else "", end="")
"""


def test_libraries_are_silent_and_messages_are_not():
    plain = "import os\n" + PROGRAM.splitlines()[-1]
    before = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stderr.splitlines() == [
        "library before",
        "person within",
        "click within: é",
        "person after",
        "library after",
    ]
    assert done.stdout == before.stdout  # no descriptor is left open


def test_a_stream_that_is_no_descriptor_stays_as_it_is(monkeypatch):
    memory = io.StringIO()
    monkeypatch.setattr(sys, "stderr", memory)
    with hide_native_output():
        assert sys.stderr is memory
        print("message", file=sys.stderr)
        os.write(2, b"library\n")
    assert memory.getvalue() == "message\n"
    monkeypatch.setattr(sys, "stderr", None)
    with hide_native_output():
        assert sys.stderr is None


def test_damaged_files_print_nothing(capfd):
    cv2 = pytest.importorskip("cv2")
    np = pytest.importorskip("numpy")
    from hostile_bytes import good_files

    def decode_damaged() -> None:
        for _, data in good_files().values():
            cv2.imdecode(np.frombuffer(data[: len(data) // 2] + b"\xff\xd9", np.uint8), cv2.IMREAD_UNCHANGED)

    decode_damaged()
    assert capfd.readouterr().err != ""  # or this test would show nothing
    with hide_native_output():
        decode_damaged()
    assert capfd.readouterr() == ("", "")
