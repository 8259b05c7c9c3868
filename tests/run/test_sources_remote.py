"""Object stores through fsspec: its memory file system stands for all, with faults put in."""

import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from approved import approved
from source_rows import DICOM, JPEG, PNG, content, names, rows

from xray_infer.errors import MissingExtraError, SourceError
from xray_infer.images.formats import HEAD_BYTES
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.run.sources.opening import open_source
from xray_infer.run.sources.remote import RemoteItem

SAYS = approved("xray-infer")

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store():
    """A store as a folder of a PACS export would be copied there; (file system, URI of the folder)."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    for name, data in {
        "b.png": PNG,
        "st1/a.JPG": JPEG,
        "st1/IM000001": DICOM,
        "st1/se1/1.2.840.113619.2.123": DICOM,
        "st1-x/c.png": b"",
        "DICOMDIR": DICOM,
        "notes.txt": b"none",
        ".hidden.png": PNG,
        ".cache/x.png": PNG,
        "b.png.heatmap.png": PNG,
    }.items():
        files.pipe(f"/films/{name}", data)
    yield files
    files.store.clear()


FILMS = {
    "b.png": PNG,
    "st1-x/c.png": b"",
    "st1/IM000001": DICOM,
    "st1/a.JPG": JPEG,
    "st1/se1/1.2.840.113619.2.123": DICOM,
}


def test_a_folder_is_searched_as_one_on_disk_is(store, tmp_path):
    source = open_source("memory://films", limits=DEFAULT_LIMITS)
    assert rows(source) == list(FILMS.items())
    assert source.skipped == 5
    assert source.count() == 5
    assert source.location == "memory://films"
    store.get("/films/", str(tmp_path / "films"), recursive=True)
    on_disk = open_source(str(tmp_path / "films"), limits=DEFAULT_LIMITS)
    assert rows(on_disk) == rows(source)
    assert on_disk.skipped == source.skipped


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("memory://films/", list(FILMS)),
        ("memory://", [f"films/{name}" for name in FILMS]),
        ("memory://films/st1", ["IM000001", "a.JPG", "se1/1.2.840.113619.2.123"]),
        ("memory://films/*.png", ["b.png"]),
        ("memory://films/**/IM*", ["st1/IM000001"]),
        ("memory://films/st?/se*", ["st1/se1/1.2.840.113619.2.123"]),
        ("memory://films/st1/a.JPG", ["a.JPG"]),
        ("memory://films/notes.txt", ["notes.txt"]),
    ],
)
def test_objects_folders_and_globs(store, uri, expected):
    assert names(uri) == expected


def test_without_recursion(store):
    assert names("memory://films", recursive=False) == ["b.png"]
    assert names("memory://films/*/*", recursive=False) == ["st1-x/c.png", "st1/IM000001", "st1/a.JPG"]


def test_a_name_that_exists_is_no_pattern(store):
    store.pipe("/films/x[1].png", JPEG)
    store.pipe("/films/x1.png", PNG)
    assert rows("memory://films/x[1].png") == [("x[1].png", JPEG)]


def test_names_that_lead_outside_are_rows(store):
    class Odd(type(store)):
        def ls(self, path, detail=True, **options):
            return [
                {"name": f"/films/{name}", "size": 9, "type": "file"} for name in ("..", "x.png", "C:y.png")
            ]

    from xray_infer.run.sources.pattern import everything
    from xray_infer.run.sources.remote import RemoteSource

    source = RemoteSource(
        "memory://films", Odd(skip_instance_cache=True), "/films", everything(recursive=True)
    )
    outside = "ImageError: its name leads outside the source, so it is not read; nothing was unpacked to disk"
    gone = "ReadError: cannot be fetched: no such object, folder or bucket"
    assert rows(source) == [("..", outside), ("C:y.png", outside), ("x.png", gone)]


def test_a_stamp_is_the_stores_own_mark(store):
    (item,) = open_source("memory://films/b.png", limits=DEFAULT_LIMITS)
    before = item.stamp()
    assert before.startswith(f"{len(PNG)} ")
    store.pipe("/films/b.png", PNG)
    (again,) = open_source("memory://films/b.png", limits=DEFAULT_LIMITS)
    assert again.stamp() != before  # written again, and this store has no digests


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"size": 5, "ETag": '"abc"', "LastModified": "today"}, '5 "abc"'),
        ({"size": 5, "md5Hash": "abc=", "updated": "today"}, "5 abc="),
        ({"size": 5, "etag": "abc", "last_modified": "today"}, "5 abc"),
        ({"size": 5, "mtime": 1.5}, "5 1.5"),
        ({"size": 5}, ""),
    ],
)
def test_marks_of_other_stores(info, expected):
    from xray_infer.run.object_store import mark

    assert mark(info) == expected


def test_limits_hold_whatever_the_listing_says(store):
    small = Limits(max_file_bytes=1031)
    assert rows("memory://films/b.png", small) == [("b.png", SAYS["imageerror-bytes-the-limit"])]
    unknown = RemoteItem(store, "/films/b.png", "b.png", None, "")
    assert content(unknown, small) == SAYS["imageerror-more-than-bytes-the"]
    assert content(unknown) == PNG
    shrunk = RemoteItem(store, "/films/b.png", "b.png", 5, "")
    assert content(shrunk) == PNG


def test_looking_at_an_object_fetches_only_its_first_bytes(store, monkeypatch):
    fetched = []
    fetch = type(store).cat_file

    def cat_file(files, path, start=None, end=None, **options):
        fetched.append((path, start, end))
        return fetch(files, path, start=start, end=end, **options)

    monkeypatch.setattr(type(store), "cat_file", cat_file)
    names("memory://films", recursive=True)
    assert {path for path, _, _ in fetched} == {
        "/films/notes.txt",
        "/films/st1/IM000001",
        "/films/st1/se1/1.2.840.113619.2.123",
    }
    assert {(start, end) for _, start, end in fetched} == {(0, HEAD_BYTES)}
    fetched.clear()
    rows("memory://films/st1-x/c.png")
    assert fetched == []  # it is empty, and S3 answers a range of nothing with an error


class StoreError(Exception):
    """As botocore and others have: related to nothing."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreError("timed out\nafter three tries"), "timed out"),
        (StoreError(), "StoreError"),
        (TimeoutError(110, "Connection timed out"), "[Errno 110] Connection timed out"),
        (PermissionError("AccessDenied"), "access denied; check the credentials"),
        (FileNotFoundError("/films/b.png"), "no such object, folder or bucket"),
    ],
)
def test_a_store_that_fails(store, monkeypatch, error, reason):
    def fail(*arguments, **options):
        raise error

    (item,) = open_source("memory://films/b.png", limits=DEFAULT_LIMITS)
    source = open_source("memory://films", limits=DEFAULT_LIMITS)
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "cat_file", fail)
        assert content(item) == f"ReadError: cannot be fetched: {reason}"
        found = dict(rows(source))  # what cannot be looked at is an item
        assert set(found) == {*FILMS, "notes.txt"}
        assert found["notes.txt"] == f"ReadError: cannot be fetched: {reason}"
    ls = type(store).ls
    with monkeypatch.context() as patch:
        patch.setattr(
            type(store),
            "ls",
            lambda files, path, **o: fail() if "st1/" in path + "/" else ls(files, path, **o),
        )
        assert dict(rows(source)) == {
            "b.png": PNG,
            "st1-x/c.png": b"",
            "st1": SAYS["readerror-a-folder-that-cannot"].format(reason=reason),
        }
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "ls", fail)
        with pytest.raises(SourceError) as caught:
            rows(source)
        assert str(caught.value) == SAYS["memory-films-cannot-be"].format(reason=reason)
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "info", fail)
        patch.setattr(type(store), "exists", fail)
        for uri in ("memory://films", "memory://films/*"):
            with pytest.raises(SourceError) as caught:
                open_source(uri, limits=DEFAULT_LIMITS)
            assert str(caught.value) == f"{uri}: cannot be opened: {reason}"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("memory://nowhere", "^memory://nowhere: cannot be opened: no such object, folder or bucket$"),
        ("memory://nowhere/*.png", "^memory://nowhere/\\*.png: cannot be listed: no such object"),
        ("memory://films/*.gif", r"^memory://films/\*.gif: no images there \(0 other files\)$"),
        ("nothing://x", "^nothing://x: cannot be opened: Protocol not known: nothing$"),
        ("memory://films/x.zip", "an archive in a store cannot be read in place; download it first$"),
    ],
)
def test_what_cannot_work_is_one_line(store, uri, message):
    store.pipe("/films/x.zip", b"PK\x03\x04" + bytes(600))
    with pytest.raises(SourceError, match=message) as caught:
        names(uri)
    assert "\n" not in str(caught.value)


def test_a_stores_own_package_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(
        sys.modules["fsspec.registry"]._registry, "s3", raising=False
    )  # found by an earlier test
    with pytest.raises(SourceError, match=SAYS["s-bucket-films-cannot"]):
        open_source("s3://bucket/films", limits=DEFAULT_LIMITS)


def test_without_fsspec_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=SAYS["s-needs-an-extra"]):
        open_source("s3://bucket/films", limits=DEFAULT_LIMITS)


def test_no_password_is_shown(monkeypatch):
    from fsspec.implementations.ftp import FTPFileSystem

    def refuse(files):
        files.ftp = SimpleNamespace(close=lambda: None)
        raise OSError("refused")

    monkeypatch.setattr(FTPFileSystem, "_connect", refuse)
    with pytest.raises(SourceError) as caught:
        open_source("ftp://me:secret@host/films", limits=DEFAULT_LIMITS)
    assert str(caught.value) == SAYS["ftp-me-host-films"]


def test_a_listing_is_never_an_old_one(store):
    source = open_source("memory://films", limits=DEFAULT_LIMITS)
    assert len(names(source)) == 5
    store.pipe("/films/z.png", PNG)
    assert len(names(source)) == 6


def test_threads_may_read_at_the_same_time(store):
    for number in range(60):
        store.pipe(f"/many/{number:02}.png", PNG * (number + 1))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(content, open_source("memory://many", limits=DEFAULT_LIMITS)))
    assert found == [PNG * (number + 1) for number in range(60)]
