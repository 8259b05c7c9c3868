"""Lists of paths, from files and from standard input."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from approved import approved
from source_rows import JPEG, PNG, names, rows

from xray_infer.errors import SourceError
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.run.sources import Source
from xray_infer.run.sources.opening import open_source

SAYS = approved("xray-infer")

GONE = "ReadError: cannot be opened: No such file or directory"


@pytest.fixture(autouse=True)
def films(tmp_path, monkeypatch) -> Path:
    """Images in the current folder, and one elsewhere."""
    root = tmp_path / "here"
    (root / "ward").mkdir(parents=True)
    (root / "a.png").write_bytes(PNG)
    (root / "ward" / "b.jpg").write_bytes(JPEG)
    (tmp_path / "other.png").write_bytes(PNG)
    monkeypatch.chdir(root)
    return root


def listed(data: bytes) -> Source:
    Path("list.txt").write_bytes(data)
    return open_source(None, from_list="list.txt", limits=DEFAULT_LIMITS)


def test_every_line_is_a_row_as_it_was_listed(tmp_path):
    other = str(tmp_path / "other.png")
    data = f"ward/b.jpg\n./a.png\n{other}\n../other.png\nnone.png\nward\na.png\na.png\n.\n".encode()
    source = listed(data)
    assert rows(source) == [
        ("ward/b.jpg", JPEG),
        ("./a.png", PNG),
        (other, PNG),
        ("../other.png", PNG),
        ("none.png", GONE),
        ("ward", SAYS["readerror-a-folder-not"]),
        ("a.png", PNG),
        ("a.png", PNG),
        (".", SAYS["readerror-a-folder-not"]),
    ]
    assert source.count() == 9
    assert source.skipped == 0
    assert source.location == str(tmp_path / "here" / "list.txt")


@pytest.mark.parametrize(
    "data",
    [
        b"a.png\nward/b.jpg\n",
        b"a.png\nward/b.jpg",
        b"\n\na.png\r\n \r\n\r\nward/b.jpg\r\n\n",
        b"\xef\xbb\xbfa.png\nward/b.jpg\n",
        b"a.png\0ward/b.jpg\0",
        b"a.png\0ward/b.jpg",
    ],
)
def test_ways_to_write_a_list(data):
    source = listed(data)
    assert rows(source) == [("a.png", PNG), ("ward/b.jpg", JPEG)]
    assert source.count() == 2


def test_names_of_any_sort():
    wanted = [
        b"new\nline.png",
        b" space .png",
        b"latin\xe9.png",
        "Röntgen.png".encode(),
        b'q"u,o.png',
        b"cr\r",
    ]
    for name in wanted:
        Path(os.fsdecode(name)).write_bytes(PNG)
    expected = [(name.decode("utf-8", "surrogateescape"), PNG) for name in wanted]
    assert rows(listed(b"\0".join(wanted))) == expected
    assert rows(listed(b"\n".join(wanted[1:5]))) == expected[1:5]


def test_find_and_its_pipe():
    """`find -print0 | xray-infer --from-list -`, in a process of its own."""
    Path("new\nline.png").write_bytes(PNG)
    code = (
        "from xray_infer.images.limits import DEFAULT_LIMITS as limits\n"
        "from xray_infer.run.sources.opening import open_source\n"
        "source = open_source(None, from_list='-', limits=limits)\n"
        "print(source.location, source.count(), [(item.name, len(item.read(limits))) for item in source])"
    )
    found = subprocess.run(["find", ".", "-name", "*.png", "-print0"], capture_output=True, check=True).stdout
    done = subprocess.run([sys.executable, "-c", code], input=found, capture_output=True, check=True)
    expected = [(name, len(PNG)) for name in found.decode().split("\0")[:-1]]
    assert len(expected) == 2
    assert done.stdout.decode().strip() == f"- None {expected}"


def test_a_slow_producer_is_not_waited_for(monkeypatch):
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as stream, open(write_end, "wb", buffering=0) as out:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        items = iter(open_source(None, from_list="-", limits=DEFAULT_LIMITS))
        for name in ("a.png", "ward/b.jpg"):
            out.write(f"{name}\nhalf a na".encode() if name == "a.png" else b"me\nward/b.jpg\n")
            if name == "ward/b.jpg":
                assert next(items).name == "half a name"
            assert next(items).name == name
        out.close()
        assert list(items) == []
        sys.stdin.detach()


def test_the_end_of_a_path_may_come_later_than_the_path(monkeypatch):
    parts = iter([b"a.", b"png", b"\0ward/b", b".jpg\0", b""])
    stream = type("Stream", (), {"read1": staticmethod(lambda size: next(parts, b""))})
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": stream}))
    assert rows(open_source(None, from_list="-", limits=DEFAULT_LIMITS)) == [
        ("a.png", PNG),
        ("ward/b.jpg", JPEG),
    ]


def test_a_pipe_is_read_once(tmp_path):
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(b"a.png\nward/b.jpg\n"))
    writer.start()
    source = open_source(None, from_list="pipe", limits=DEFAULT_LIMITS)
    assert source.count() is None
    assert rows(source) == [("a.png", PNG), ("ward/b.jpg", JPEG)]
    writer.join()
    with pytest.raises(SourceError, match=SAYS["from-list-pipe-a"]):
        rows(source)


def test_no_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match=SAYS["from-list-there-is"]):
        names(open_source(None, from_list="-", limits=DEFAULT_LIMITS))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no paths in it; it needs one a line"),
        (b"\n \r\n\n", "no paths in it; it needs one a line"),
        ("a.png\n".encode("utf-16"), "in UTF-16; save it as UTF-8"),
        (PNG, "a png image, not a list of paths; give it without --from-list"),
        (b"x" * 200_000, "a line of more than 65,536 bytes; not a list of paths"),
    ],
)
def test_what_is_no_list_is_one_line(data, message):
    with pytest.raises(SourceError, match=f"^--from-list list.txt: {message}$"):
        rows(listed(data))


def test_a_nul_further_on_costs_its_row_only():
    filler = b"a.png\n" * 20_000
    found = rows(listed(filler + b"x\0y.png\nward/b.jpg\n"))
    assert found[-2:] == [
        ("x\0y.png", SAYS["readerror-cannot-be-opened-not"]),
        ("ward/b.jpg", JPEG),
    ]
    assert len(found) == 20_002


def test_a_list_is_streamed(monkeypatch):
    """It may be longer than memory: no more is read than the paths taken need."""
    line = b"a.png\n" * 10_000
    read = 0

    class Endless:
        @staticmethod
        def read1(size):
            nonlocal read
            read += 1
            assert size >= len(line)
            return line

    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Endless}))
    items = iter(open_source(None, from_list="-", limits=DEFAULT_LIMITS))
    for _ in range(100_000):
        assert next(items).name == "a.png"
    assert read <= 11


def test_uris_in_a_list(films):
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/list-test/x.png", PNG)
    source = listed(
        f"memory://list-test/x.png\nmemory://list-test/y.png\nmemory://list-test\n"
        f"{(films / 'a.png').as_uri()}\nnothing://x.png\n".encode()
    )
    assert rows(source) == [
        ("memory://list-test/x.png", PNG),
        ("memory://list-test/y.png", SAYS["readerror-cannot-be-fetched"]),
        ("memory://list-test", SAYS["readerror-a-folder-not"]),
        ((films / "a.png").as_uri(), PNG),
        ("nothing://x.png", SAYS["readerror-nothing-x-png"]),
    ]
    assert [bool(item.stamp()) for item in source] == [True, False, False, True, False]


def test_uris_without_fsspec_are_rows(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert rows(listed(b"s3://b/x.png\na.png\n")) == [
        ("s3://b/x.png", SAYS["readerror-s-needs-an"]),
        ("a.png", PNG),
    ]
