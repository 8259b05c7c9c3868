"""Folders, globs and files, and how the kind of a source is found."""

import io
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from approved import approved
from source_rows import DICOM, JPEG, PNG, content, names, rows
from specimens import ordinary_user

from xray_infer.errors import SourceError
from xray_infer.images.formats import HEAD_BYTES, image_format
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.run.sources import folder
from xray_infer.run.sources.folder import FileItem, FolderSource, local_source
from xray_infer.run.sources.opening import open_source

SAYS = approved("xray-infer")


@pytest.fixture
def films(tmp_path, monkeypatch) -> Path:
    """A folder as a PACS exports it, in the current folder: two images named so, two DICOM files not."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "films"
    (root / "st1" / "se1").mkdir(parents=True)
    (root / "b.png").write_bytes(PNG)
    (root / "st1" / "a.JPG").write_bytes(JPEG)
    (root / "st1" / "IM000001").write_bytes(DICOM)
    (root / "st1" / "se1" / "1.2.840.113619.2.123").write_bytes(DICOM)
    (root / "DICOMDIR").write_bytes(DICOM)
    (root / "notes.txt").write_text("BM of ward 3, read by II*")
    (root / ".hidden.png").write_bytes(PNG)
    (root / ".cache").mkdir()
    (root / ".cache" / "c.png").write_bytes(PNG)
    (root / "b.png.heatmap.png").write_bytes(PNG)
    return root


FILMS = ["b.png", "st1/IM000001", "st1/a.JPG", "st1/se1/1.2.840.113619.2.123"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (JPEG, "jpeg"),
        (PNG, "png"),
        (DICOM, "dicom"),
        (b"II*\0" + bytes(124) + b"DICM", "dicom"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "bmp"),
        (b"BM is the name of this ward", None),
        (b"\x89PNG\n\x1a\n", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_formats_are_told_by_content(head, expected):
    assert image_format(head[:HEAD_BYTES]) == expected


def test_opencv_and_the_signatures_agree(xray):
    import cv2

    for suffix, name in (
        (".png", "png"),
        (".jpg", "jpeg"),
        (".tif", "tiff"),
        (".webp", "webp"),
        (".bmp", "bmp"),
    ):
        data = cv2.imencode(suffix, xray)[1].tobytes()
        assert image_format(data[:HEAD_BYTES]) == name


def test_a_folder_is_searched_by_content_in_the_order_of_text(films):
    source = open_source("films", limits=DEFAULT_LIMITS)
    assert names(source) == FILMS
    assert source.skipped == 5  # DICOMDIR, notes.txt, .hidden.png, .cache and the heat map
    assert source.location == str(films)
    assert rows(source) == list(zip(FILMS, [PNG, DICOM, JPEG, DICOM], strict=True))
    assert source.skipped == 5  # not twice


def test_order_is_that_of_the_whole_text(tmp_path):
    expected = sorted(["a-b.png", "a/z.png", "a.png", "a/b/c.png", "a b/x.png", "a0/x.png", "z.png", "Ä.png"])
    for name in expected:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    assert names(str(tmp_path)) == expected


def test_without_recursion_sub_folders_are_left_alone(films):
    assert names("films", recursive=False) == ["b.png"]
    shutil.rmtree(films / "st1")
    (films / "b.png").unlink()
    with pytest.raises(SourceError, match=SAYS["no-images-other-files"]):
        names("films", recursive=False)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX permissions")
def test_what_cannot_be_looked_at_is_never_passed_over(films, tmp_path):
    (films / "IM7").write_bytes(DICOM)
    (films / "IM7").chmod(0)
    (films / "IM8").symlink_to("gone")
    (films / "self.png").symlink_to("self.png")
    (films / "vault").mkdir(mode=0)
    (tmp_path / "out").mkdir()
    with ordinary_user(films / "b.png", tmp_path / "out"):
        found = dict(rows("films"))
    assert list(found) == ["IM7", "IM8", "b.png", "self.png", *FILMS[1:], "vault"]
    assert found["IM7"] == SAYS["readerror-cannot-be-opened"]
    assert found["IM8"] == SAYS["readerror-cannot-be-opened-no"]
    assert found["self.png"] == SAYS["readerror-cannot-be-opened-too"]
    assert found["vault"] == SAYS["readerror-a-folder-that"]


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX permissions")
def test_a_source_behind_a_closed_door(films, tmp_path):
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "x.png").write_bytes(PNG)
    (tmp_path / "vault").chmod(0)
    (tmp_path / "out").mkdir()
    with ordinary_user(films / "b.png", tmp_path / "out"):
        for source in ("vault", "vault/x.png", "vault/*.png"):
            with pytest.raises(SourceError, match=SAYS["vault-x-png-permission"]):
                names(source)


def test_pipes_and_sockets_never_block(films):
    for name in ("pipe", "pipe.png"):
        os.mkfifo(films / name)
    for name in ("socket", "socket.png"):
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"films/{name}")
    source = open_source("films", limits=DEFAULT_LIMITS)
    found = dict(rows(source))
    assert set(found) == {*FILMS, "pipe.png", "socket.png"}
    assert found["pipe.png"] == SAYS["readerror-not-a-regular"]
    assert found["socket.png"].startswith("ReadError: ")
    assert source.skipped == 7


def test_links_to_folders_are_counted_and_not_followed(films):
    (films / "st1" / "up").symlink_to("..")
    (films / "st1" / "link.png").symlink_to("../b.png")
    source = open_source("films", limits=DEFAULT_LIMITS)
    assert names(source) == sorted([*FILMS, "st1/link.png"])
    assert source.skipped == 6


def test_a_link_to_itself_is_one_line(films):
    Path("self.png").symlink_to("self.png")
    source = open_source("self.png", limits=DEFAULT_LIMITS)
    assert source.location.endswith("self.png")
    with pytest.raises(SourceError, match=SAYS["self-png-too-many"]):
        names(source)


def test_a_folder_named_like_an_image_is_a_folder(films):
    (films / "x.png").mkdir()
    (films / "x.png" / "y.png").write_bytes(PNG)
    assert names("films") == [*FILMS, "x.png/y.png"]


def test_very_deep_folders(tmp_path, monkeypatch):
    """Deeper than Python's recursion limit, as far as a path can be long."""
    depth = (4000 - len(str(tmp_path))) // 2
    monkeypatch.chdir(tmp_path)
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("x.png").write_bytes(PNG)
        assert depth > sys.getrecursionlimit()
        assert names(str(tmp_path)) == ["d/" * depth + "x.png"]
    finally:  # pytest's own clearing away recurses
        Path("x.png").unlink(missing_ok=True)
        while os.getcwd() != str(tmp_path):
            os.chdir("..")
            os.rmdir("d")


def test_any_name_is_kept(tmp_path):
    for name in (b'new\nline "q".png', b"latin\xe9.png", b"a\\b.png", "Röntgen/ü.png".encode()):
        path = os.fsencode(tmp_path) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(PNG)
    assert rows(str(tmp_path)) == [
        (name, PNG) for name in ["Röntgen/ü.png", "a\\b.png", "latin\udce9.png", 'new\nline "q".png']
    ]


def test_a_file_is_read_within_its_limit_while_it_grows(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(PNG)
    item = FileItem(path, "x.png")
    exactly = Limits(max_file_bytes=len(PNG))
    assert content(item, exactly) == PNG
    assert content(item, Limits(max_file_bytes=len(PNG) - 1)) == SAYS["imageerror-bytes-the-limit"]
    # Its size says nothing, as in /proc, or while another program still writes it.
    monkeypatch.setattr(os, "fstat", lambda file: os.stat_result((0o100644, *[0] * 9)))
    assert content(item, exactly) == PNG
    path.write_bytes(PNG + bytes(3 << 20))
    assert content(item, exactly) == SAYS["imageerror-more-than-bytes"]
    assert len(content(item, DEFAULT_LIMITS)) == len(PNG) + (3 << 20)

    class Endless(io.BytesIO):
        def fileno(self):
            return 0

        def read(self, size=-1):
            return bytes(size)

    monkeypatch.setattr(folder, "_open", lambda path: Endless())
    assert content(item, Limits(max_file_bytes=5 << 20)).endswith(SAYS["the-limit-and-still"])


def test_a_stamp_changes_with_the_file_and_is_empty_without_one(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(PNG)
    item = FileItem(path, "x.png")
    before = item.stamp()
    assert before == item.stamp() != ""
    path.write_bytes(JPEG + b"x")
    assert item.stamp() != before
    path.unlink()
    assert item.stamp() == ""
    assert FileItem(Path("nul\0.png"), "x").stamp() == ""


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("films/*.png", ["b.png"]),
        ("films/st?/*", [*FILMS[1:]]),
        ("films/st?/*.[jJ]*", ["st1/a.JPG"]),
        ("films/**/IM*", ["st1/IM000001"]),
        ("films/**/*.[Jp][Pn][Gg]", ["b.png", "st1/a.JPG"]),
        ("films/**/**/b.png", ["b.png"]),
        ("films/**", FILMS),
        ("fil*", [f"films/{name}" for name in FILMS]),
        ("./f*s/st1/./se1/*", ["films/st1/se1/1.2.840.113619.2.123"]),
        ("films/st[12]", FILMS[1:]),
    ],
)
def test_globs(films, pattern, expected):
    assert names(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("films/*", ["b.png"]), ("films/*/*", ["st1/IM000001", "st1/a.JPG"]), ("films/**", FILMS)],
)
def test_without_recursion_a_glob_gives_only_what_matches(films, pattern, expected):
    assert names(pattern, recursive=False) == expected


def test_globs_count_what_they_match(films):
    source = open_source("films/*.txt", limits=DEFAULT_LIMITS)
    with pytest.raises(SourceError, match=SAYS["films-txt-no-images"]):
        list(source)
    source = open_source("films/*.png", limits=DEFAULT_LIMITS)
    assert names(source) == ["b.png"]
    assert source.skipped == 2  # the hidden one and the heat map
    assert source.location == str(films / "*.png")


def test_a_glob_agrees_with_the_standard_library(tmp_path):
    """On plain names, where both have the same idea of a match."""
    import glob

    for name in ("a.png", "b/a.png", "b/c/a.png", "b/c/d.png", "bb/a.png", "a/b/c/d/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    patterns = "*.png **/a.png b/**/*.png **/c/** ?/*/a.png [ab]/**/d* **/[!a].png a/**/e.png"
    for pattern in patterns.split():
        expected = glob.glob(pattern, root_dir=tmp_path, recursive=True)
        expected = sorted({name for name in expected if (tmp_path / name).is_file()})
        source = open_source(str(tmp_path / pattern), recursive=False, limits=DEFAULT_LIMITS)
        prefix = "" if pattern[0] in "*?[" else pattern[0] + "/"
        assert [prefix + item.name for item in source] == expected, pattern


def test_a_name_that_exists_is_no_pattern(films):
    (films / "x[1].png").write_bytes(PNG)
    (films / "x1.png").write_bytes(JPEG)
    assert rows("films/x[1].png") == [("x[1].png", PNG)]
    (films / "x[1].png").unlink()
    assert rows("films/x[1].png") == [("x1.png", JPEG)]
    films.rename("[films]*")
    assert names("[films]*") == sorted([*FILMS, "x1.png"])


def test_one_file_of_any_name_is_an_item(films):
    assert rows("films/notes.txt") == [("notes.txt", (films / "notes.txt").read_bytes())]
    assert rows("films/.hidden.png") == [(".hidden.png", PNG)]
    assert local_source(films / "b.png").count() == 1
    assert rows((films / "b.png").as_uri()) == [("b.png", PNG)]
    (films / "ü %.png").write_bytes(PNG)
    assert rows((films / "ü %.png").as_uri()) == [("ü %.png", PNG)]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (None, {}, "no source; give a folder"),
        ("", {}, "no source; give a folder"),
        ("films", {"from_list": "l.txt"}, "two sources; give either"),
        ("-", {}, "give --from-list -"),
        ("nowhere", {}, "^nowhere: No such file or directory$"),
        ("nowhere/*.png", {}, "^nowhere: No such file or directory$"),
        ("films/b.png/*.png", {}, "^films/b.png: Not a directory$"),
        ("films/*.gif", {}, r"^films/\*\.gif: no images match this pattern \(0 other files\)$"),
        ("empty", {}, r"^empty: no images in this folder \(0 other files\); looked for"),
        ("x.rar", {}, "a rar archive, which is not supported; unpack it first$"),
        ("x.tar.zst", {}, "a zstd archive, which is not supported; unpack it first$"),
        (None, {"from_list": "nowhere"}, "^--from-list nowhere: No such file or directory$"),
        (None, {"from_list": "films"}, "^--from-list films: a folder; give it without --from-list$"),
    ],
)
def test_what_cannot_work_is_one_line(films, source, options, message):
    Path("empty").mkdir()
    Path("x.rar").write_bytes(b"Rar!\x1a\x07\x01\0" + bytes(600))
    Path("x.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(600))
    with pytest.raises(SourceError, match=message) as caught:
        list(open_source(source, limits=DEFAULT_LIMITS, **options))
    assert "\n" not in str(caught.value)


def test_the_kinds_load_nothing_heavy():
    code = (
        "import importlib, sys; from xray_infer.run.sources.opening import KINDS; "
        "[importlib.import_module(f'xray_infer.run.sources.{module}') for module, _ in KINDS.values()]; "
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "xray_infer.run.sources.remote" in loaded
    assert not {"fsspec", "cv2", "onnxruntime", "http.client", "asyncio"} & loaded


def test_listing_is_lazy(films, monkeypatch):
    """A folder is listed only when the one before it has been taken."""
    listed = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scan(path))
    items = iter(FolderSource(films))
    assert next(items).name == "b.png"
    assert listed == [str(films)]
    assert next(items).name == "st1/IM000001"
    assert listed == [str(films), str(films / "st1")]
