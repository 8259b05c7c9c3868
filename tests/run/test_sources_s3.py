"""S3 itself, played by moto's server on the loopback interface; skipped where moto or s3fs is absent."""

import pytest
from approved import approved
from loopback_s3 import served
from source_rows import DICOM, JPEG, PNG, content, names, rows

from xray_infer.errors import SourceError
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.run.sources.opening import open_source

SAYS = approved("xray-infer")

s3fs = pytest.importorskip("s3fs")


@pytest.fixture
def bucket(monkeypatch):
    """A bucket `films` with images under `export/`."""
    with served(monkeypatch) as files:
        for name, data in {
            "a.png": PNG,
            "st1/IM1": DICOM,
            "st1/b.jpg": JPEG,
            "st1/empty.png": b"",
            "notes.txt": b"none",
            "nothing": b"",
            ".hidden.png": PNG,
            "x[1] ü+%.png": PNG,
        }.items():
            files.pipe(f"films/export/{name}", data)
        files.call_s3("put_object", Bucket="films", Key="export/placeholder/", Body=b"")
        yield files


FOUND = {"a.png": PNG, "st1/IM1": DICOM, "st1/b.jpg": JPEG, "st1/empty.png": b"", "x[1] ü+%.png": PNG}


def test_a_prefix_an_object_and_a_glob(bucket):
    source = open_source("s3://films/export", limits=DEFAULT_LIMITS)
    assert rows(source) == list(FOUND.items())
    assert source.skipped == 3
    assert names("s3://films/export/") == list(FOUND)
    assert names("s3://films") == [f"export/{name}" for name in FOUND]
    assert names("s3://films/export/**/*.jpg") == ["st1/b.jpg"]
    assert rows("s3://films/export/st1/b.jpg") == [("b.jpg", JPEG)]
    bucket.pipe("films/export/z.png", PNG)
    assert names(source) == sorted([*FOUND, "z.png"])  # and not what it listed before
    assert rows(SAYS["s-films-export-x"]) == [("x[1] ü+%.png", PNG)]


def test_stamps_are_etags(bucket):
    (item,) = open_source("s3://films/export/a.png", limits=DEFAULT_LIMITS)
    listed = next(iter(open_source("s3://films/export", limits=DEFAULT_LIMITS)))
    bucket.pipe("films/export/a.png", PNG)  # the same content
    (again,) = open_source("s3://films/export/a.png", limits=DEFAULT_LIMITS)
    assert item.stamp() == listed.stamp() == again.stamp()
    bucket.pipe("films/export/a.png", PNG[:-1] + b"x")
    (changed,) = open_source("s3://films/export/a.png", limits=DEFAULT_LIMITS)
    assert changed.stamp() != item.stamp()
    bucket.rm("films/export/a.png")
    assert content(item) == SAYS["readerror-cannot-be-fetched"]


def test_a_wrong_bucket_or_key_is_one_line(bucket):
    for uri in ("s3://nowhere", "s3://nowhere/x.png", "s3://films/none.png", "s3://nowhere/*.png"):
        with pytest.raises(SourceError, match=SAYS["no-such-object-folder"]):
            names(uri)


def test_no_credentials_or_no_server_is_one_line(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match=SAYS["s-films-export-cannot"]) as caught:
        names("s3://films/export")
    assert "\n" not in str(caught.value)


def test_two_slashes_in_a_row_are_a_folder_without_a_name(bucket):
    bucket.call_s3("put_object", Bucket="films", Key="odd/st1//c.png", Body=PNG)
    bucket.call_s3("put_object", Bucket="films", Key="odd//d.png", Body=PNG)
    outside = "ImageError: its name leads outside the source, so it is not read; nothing was unpacked to disk"
    assert rows("s3://films/odd") == [("/d.png", outside), ("st1//c.png", PNG)]


def test_a_listing_in_many_pages_is_that_of_one(bucket, monkeypatch):
    """Folders and files come in one order, also where a page ends between them."""
    keys = [
        f"{stem}{tail}" for stem in ("a", "a-", "a0", "ü", "z") for tail in ("/x.png", ".png", "/y/z.png")
    ]
    for key in keys:
        bucket.pipe(f"films/pages/{key}", PNG)
    whole = names("s3://films/pages")
    assert whole == sorted(keys)
    asked = []
    call = type(bucket).call_s3

    def in_small_pages(files, method, **options):
        asked.append(options)
        return call(files, method, **options, **({"MaxKeys": 2} if method == "list_objects_v2" else {}))

    monkeypatch.setattr(type(bucket), "call_s3", in_small_pages)
    source = open_source("s3://films/pages", limits=DEFAULT_LIMITS)
    first = next(iter(source))
    assert (first.name, len(asked)) == (whole[0], 1)  # and not the whole listing first
    assert [item.name for item in source] == whole
