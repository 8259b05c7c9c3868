"""Zip archives, friendly and hostile: every image gives one item, whatever is done to it."""

import io
import random
import stat
import struct
import threading
import tracemalloc
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from approved import approved
from source_rows import DICOM, JPEG, PNG, content, names, rows

from xray_infer.errors import SourceError, XrayError
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.run.sources.opening import open_source

SAYS = approved("xray-infer")

OUTSIDE = "ImageError: its name leads outside the source, so it is not read; nothing was unpacked to disk"


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "films.zip"


def write_zip(path: Path, members, method: int = zipfile.ZIP_DEFLATED, **options) -> None:
    """Write (name or ZipInfo, content) pairs; names may repeat."""
    with zipfile.ZipFile(path, "w", method, **options) as archive:
        for name, data in members:
            archive.writestr(name, data)


def set_directory_field(path: Path, offset: int, value: bytes, member: int = 0) -> None:
    """Change one field of a member's entry in the directory."""
    data = bytearray(path.read_bytes())
    position = -1
    for _ in range(member + 1):
        position = data.index(b"PK\x01\x02", position + 1)
    data[position + offset : position + offset + len(value)] = value
    path.write_bytes(data)


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_images_are_read_in_place_by_name_or_content(path, method):
    large = random.Random(1).randbytes(700_000)
    write_zip(
        path,
        [
            ("z.png", PNG),
            ("ward/", b""),
            ("ward/IM0001", DICOM),
            ("ward/notes.txt", "none"),
            ("ward/large.jpg", large + large),
            ("ward/empty.png", b""),
            ("DICOMDIR", DICOM),
            (".hidden.png", PNG),
            ("ward/.cache/x.png", PNG),
            ("__MACOSX/ward/x.png", PNG),
            ("inner.zip", b"PK\x03\x04"),
        ],
        method,
    )
    source = open_source(str(path), limits=DEFAULT_LIMITS)
    assert rows(source) == [
        ("z.png", PNG),
        ("ward/IM0001", DICOM),
        ("ward/large.jpg", large + large),
        ("ward/empty.png", b""),
    ]
    assert source.skipped == 6
    assert source.count() == 4
    assert source.location == str(path)
    stamps = [item.stamp() for item in source]
    assert stamps[0] == f"{len(PNG)} {zlib.crc32(PNG):08x}"
    assert len(set(stamps)) == 4


def test_an_archive_is_told_by_content(path, tmp_path):
    write_zip(path, [("x.png", PNG)])
    path.rename(tmp_path / "export.dcm")
    assert names(str(tmp_path / "export.dcm")) == ["x.png"]
    (tmp_path / "y.zip").write_bytes(PNG)
    assert rows(str(tmp_path / "y.zip")) == [("y.zip", PNG)]


def test_zip64_members_and_directories(path, monkeypatch):
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.png", "w", force_zip64=True) as member:
        member.write(PNG)
    assert rows(str(path)) == [("x.png", PNG)]
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)  # in truth 65,535
    write_zip(path, [(f"{n}.png", PNG) for n in range(5)])
    assert b"PK\x06\x06" in path.read_bytes()
    assert rows(str(path)) == [(f"{n}.png", PNG) for n in range(5)]
    path.write_bytes(b"PK\x03\x04 and a part of another" + path.read_bytes())
    assert rows(str(path)) == [(f"{n}.png", PNG) for n in range(5)]
    with pytest.raises(SourceError, match="more than 4 members"):
        rows(str(path), Limits(max_members=4))


def test_sizes_in_the_zip64_field(path):
    write_zip(path, [("x.png", PNG)], zipfile.ZIP_STORED)
    data = path.read_bytes()
    entry, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    extra = struct.pack("<2HQQQ", 1, 24, len(PNG), len(PNG), 0)
    head = bytearray(data[entry:end])
    head[20:28] = head[42:46] * 0 + b"\xff" * 8
    head[42:46] = b"\xff" * 4
    head[30:32] = struct.pack("<H", len(extra))
    tail = bytearray(data[end:])
    tail[12:16] = struct.pack("<L", len(head) + len(extra))
    path.write_bytes(data[:entry] + head + extra + tail)
    assert rows(str(path)) == [("x.png", PNG)]


def test_something_before_the_archive_is_allowed(path):
    """The offsets then all fall short by its length. What begins like an image is one, though."""
    write_zip(path, [("x.png", PNG)])
    data = path.read_bytes()
    path.write_bytes(b"PK\x03\x04 and a part of another archive" + data)
    assert rows(str(path)) == [("x.png", PNG)]
    path.write_bytes(PNG + data)
    assert rows(str(path)) == [("films.zip", PNG + data)]


@pytest.mark.parametrize(
    "name",
    [
        "../../x.png",
        "/etc/x.png",
        "C:\\x.png",
        "c:x.png",
        "a/../../x.png",
        "..\\x.png",
        "\\\\host\\x.png",
        "a/..",
    ],
)
def test_names_that_lead_outside_are_rows(path, name):
    write_zip(path, [("a.png", PNG), (name, PNG), ("b.png", PNG)])
    assert rows(str(path)) == [("a.png", PNG), (name, OUTSIDE), ("b.png", PNG)]


def test_a_nul_in_a_name(path):
    write_zip(path, [("x_y.png", PNG)])
    path.write_bytes(path.read_bytes().replace(b"x_y.png", b"x\0y.png"))
    assert rows(str(path)) == [("x\ufffdy.png", OUTSIDE)]


def test_any_name_is_kept(path):
    # As Windows (DOS code page), Finder (UTF-8, no flag) and a liar (flagged, not UTF-8) write them.
    write_zip(
        path,
        [("1111.png", PNG), ("22222.png", PNG), ("ü.png", PNG), ('new\nline "q".png', PNG), ("./d.png", PNG)],
    )
    data = path.read_bytes().replace(b"1111.png", "ä111".encode("cp437") + b".png")
    data = data.replace(b"22222.png", "ö222".encode() + b".png").replace("ü.png".encode(), b"\xfcx.png")
    path.write_bytes(data)
    expected = ["ä111.png", "ö222.png", "\udcfcx.png", 'new\nline "q".png', "d.png"]
    assert rows(str(path)) == [(name, PNG) for name in expected]


def test_duplicate_names_give_a_row_each(path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(path, [("x.png", PNG), ("x.png", JPEG), ("x.png", PNG)])
    assert rows(str(path)) == [("x.png", PNG), ("x.png", JPEG), ("x.png", PNG)]


def test_links_and_special_files_are_not_followed(path):
    members = []
    for name, kind in (("link.png", stat.S_IFLNK), ("pipe.png", stat.S_IFIFO), ("link", stat.S_IFLNK)):
        member = zipfile.ZipInfo(name)
        member.external_attr = (kind | 0o777) << 16
        members.append((member, "/etc/passwd"))
    write_zip(path, members)
    source = open_source(str(path), limits=DEFAULT_LIMITS)
    assert rows(source) == [
        ("link.png", SAYS["imageerror-a-link-inside"]),
        ("pipe.png", SAYS["imageerror-a-special-file"]),
    ]
    assert source.skipped == 1


def test_encrypted_and_strangely_packed_members(path):
    write_zip(path, [("a.png", PNG), ("b", b"no image"), ("c.png", PNG), ("d.png", PNG)])
    set_directory_field(path, 8, b"\x01\x00", member=0)
    set_directory_field(path, 8, b"\x01\x00", member=1)
    set_directory_field(path, 10, b"\x09\x00", member=2)
    set_directory_field(path, 10, b"\x63\x00", member=3)
    locked = "ImageError: encrypted: unpack the archive with its password, and classify the folder"
    strange = "ImageError: packed with {}, which is not supported: unpack the archive first"
    assert rows(str(path)) == [
        ("a.png", locked),
        ("b", locked),  # it may be an image
        ("c.png", strange.format("Deflate64")),
        ("d.png", strange.format("method 99")),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_member_costs_its_own_row_only(path, method):
    noise = random.Random(2).randbytes(50_000)
    write_zip(path, [("a.png", PNG), ("b.png", noise), ("c.png", PNG)], method)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    (_, first), (_, second), (_, third) = rows(str(path))
    assert first == third == PNG
    assert second.startswith("ImageError: damaged: ")


def test_wrong_checksums_and_sizes(path):
    for offset, value, reason in (
        (16, b"\0\0\0\0", "damaged: its checksum (CRC-32) is wrong"),
        (24, struct.pack("<L", len(PNG) - 1), "damaged: unpacks to more bytes than it declares"),
        (24, struct.pack("<L", len(PNG) + 1), "damaged: unpacks to 1,032 bytes, not 1,033 as it declares"),
        (24, struct.pack("<L", 1 << 31), "2,147,483,648 bytes unpacked; the limit is 1,000,000,000"),
        (20, struct.pack("<L", 9), "truncated: the packed data end too early"),
        (42, struct.pack("<L", 1 << 30), "damaged: it does not lie where the directory says"),
        (42, struct.pack("<L", 7), "damaged: it does not lie where the directory says"),
    ):
        write_zip(path, [("a.png", PNG), ("b.png", PNG)])
        set_directory_field(path, offset, value)
        assert rows(str(path)) == [("a.png", f"ImageError: {reason}"), ("b.png", PNG)]


def test_what_follows_the_packed_data_is_left_alone(path):
    """Here another stream, which a gzip file would have as its continuation."""
    write_zip(path, [("a.png", PNG)])
    data = path.read_bytes()
    entry, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    start = 30 + len("a.png")
    packed = data[start:entry]
    tail = data[end : end + 16] + struct.pack("<LH", entry + len(packed), 0)
    path.write_bytes(data[:entry] + packed + data[entry:end] + tail)
    set_directory_field(path, 20, struct.pack("<L", 2 * len(packed)))
    assert rows(str(path)) == [("a.png", PNG)]


def test_a_dictionary_may_not_take_all_memory(path, monkeypatch):
    from xray_infer.run.sources import unpack

    write_zip(path, [("a.png", PNG)], zipfile.ZIP_LZMA)
    monkeypatch.setattr(unpack, "_MOST_MEMORY", 1 << 20)
    assert rows(str(path)) == [("a.png", SAYS["imageerror-damaged-it-cannot-be"])]


def test_an_archive_that_is_gone_is_tried_again(path):
    write_zip(path, [("a.png", PNG)])
    (item,) = open_source(str(path), limits=DEFAULT_LIMITS)
    path.unlink()
    assert content(item) == SAYS["readerror-cannot-be-opened-no"]


def test_truncated_anywhere_it_is_refused_in_one_line(path):
    write_zip(path, [(f"{n}.png", PNG) for n in range(5)])
    data = path.read_bytes()
    for length in (*range(0, 60), *range(60, len(data) - 60, 37), *range(len(data) - 60, len(data))):
        path.write_bytes(data[:length])
        if length < 4:  # not yet an archive
            assert rows(str(path)) == [("films.zip", data[:length])]
            continue
        with pytest.raises(SourceError, match=SAYS["films-zip-not-a"]):
            names(str(path))


def test_a_directory_that_breaks_off_is_a_row(path):
    write_zip(path, [(f"{n}.png", PNG) for n in range(3)])
    set_directory_field(path, 0, b"XX", member=1)
    assert rows(str(path)) == [
        ("0.png", PNG),
        ("films.zip", SAYS["imageerror-its-directory-is"]),
    ]
    write_zip(path, [("x.png", PNG)])
    set_directory_field(path, 28, b"\xff\xff")
    assert rows(str(path)) == [
        (
            "films.zip",
            SAYS["imageerror-its-directory-ends"],
        )
    ]


def test_random_damage_never_ends_a_run(path):
    """Each member still gives at most one item, and at least one row or one line says what is wrong."""
    members = [(f"{n}.png", PNG * (n + 1)) for n in range(4)]
    write_zip(path, members)
    data = path.read_bytes()
    rng = random.Random(3)
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 3))):
            # Half of it where it hurts: in the directory and its end.
            changed[rng.choice((rng.randrange(len(data)), len(data) - 1 - rng.randrange(260)))] = (
                rng.randrange(256)
            )
        path.write_bytes(changed)
        try:
            found = rows(str(path))
        except XrayError:
            continue
        for name, data_or_reason in found:
            assert isinstance(data_or_reason, str) or data_or_reason in {PNG * n for n in range(1, 5)}, name


# Bombs


def zeros(count: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive whose one member x.png unpacks to so many zeros."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", method) as archive,
        archive.open("x.png", "w", force_zip64=True) as member,
    ):
        for _ in range(count >> 20):
            member.write(bytes(1 << 20))
    return stream.getvalue()


BOMB = "ImageError: unpacks to more than 200 times its size, the limit (a zip bomb?)"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zeros_are_refused_by_what_the_directory_says(path, method):
    path.write_bytes(zeros(16 << 20, method))
    assert rows(str(path)) == [("x.png", BOMB)]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("lie", ["small", "large"])
def test_zeros_with_lies_are_stopped_while_they_unpack(path, method, lie):
    """Sizes that are declared small stop it at once; a large packed size cannot hide the ratio."""
    packed = zeros(40 << 20, method)
    path.write_bytes(packed + bytes(1 << 20) if lie == "large" else packed)
    data = path.read_bytes()
    entry, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    if lie == "small":
        set_directory_field(path, 24, struct.pack("<L", 1000))
    else:  # the padding goes before the directory, as if it were packed data
        path.write_bytes(
            data[:entry]
            + bytes(1 << 20)
            + data[entry : end + 16]
            + struct.pack("<L", entry + (1 << 20))
            + bytes(2)
        )
        set_directory_field(path, 20, struct.pack("<L", (1 << 20) + entry - 100))
    tracemalloc.start()
    ((_, reason),) = rows(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason == (BOMB if lie == "large" else SAYS["imageerror-damaged-unpacks-to"])
    assert peak < 24 << 20  # LZMA's dictionary takes 16


def test_a_small_blank_picture_is_no_bomb(path):
    blank = PNG + bytes(900_000)
    write_zip(path, [("x.png", blank)])
    assert rows(str(path)) == [("x.png", blank)]


def test_members_that_overlap_are_told(path):
    """As in Fifield's bombs: many entries, one packed file."""
    member = random.Random(4).randbytes(5000)
    write_zip(path, [("00.png", member)])
    data = path.read_bytes()
    entry, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = [data[entry:end].replace(b"00.png", b"%02d.png" % n) for n in range(50)]
    directory = b"".join(entries)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 50, 50, len(directory), entry, 0)
    path.write_bytes(data[:entry] + directory + tail)
    found = rows(str(path))
    assert [name for name, _ in found] == [f"{n:02}.png" for n in range(50)]
    told = [
        reason
        for _, reason in found
        if reason == "ImageError: overlaps other members of the archive (a zip bomb?)"
    ]
    assert [data for _, data in found[: 50 - len(told)]] == [member] * (50 - len(told))
    assert len(told) > 46


def test_archives_inside_archives_are_not_opened(path):
    inner = zeros(8 << 20)
    for _ in range(3):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for n in range(4):
                archive.writestr(f"{n}.zip", inner)
        inner = stream.getvalue()
    path.write_bytes(inner)
    with pytest.raises(SourceError, match=SAYS["no-images-in-this"]):
        rows(str(path))


def test_each_limit_on_the_archive(path):
    write_zip(path, [(f"{n}.png", PNG) for n in range(4)])
    assert len(rows(str(path), Limits(max_members=4, max_archive_bytes=4 * len(PNG)))) == 4
    with pytest.raises(SourceError, match=SAYS["films-zip-more-than"]):
        open_source(str(path), limits=Limits(max_members=3))
    over = "ImageError: the archive unpacks to more than 2,064 bytes, the limit"
    assert rows(str(path), Limits(max_archive_bytes=2 * len(PNG))) == [
        ("0.png", PNG),
        ("1.png", PNG),
        ("2.png", over),
        ("3.png", over),
    ]
    assert rows(str(path), Limits(max_file_bytes=1031))[0][1] == SAYS["imageerror-bytes-unpacked-the"]


def test_a_directory_longer_than_it_says_is_cut_at_the_limit(path):
    write_zip(path, [(f"{n}.png", PNG) for n in range(4)])
    data = bytearray(path.read_bytes())
    data[-14:-10] = struct.pack("<2H", 1, 1)
    path.write_bytes(data)
    assert [name for name, _ in rows(str(path))] == [
        "0.png",
        "1.png",
        "2.png",
        "3.png",
    ]  # a number that wraps
    assert rows(str(path), Limits(max_members=2))[2:] == [
        ("films.zip", SAYS["imageerror-more-than-members-the"])
    ]


def test_memory_does_not_grow_with_the_number_of_members(path):
    write_zip(path, [(f"ward/{n:06}.png", b"x") for n in range(5_000)], zipfile.ZIP_STORED)
    source = open_source(str(path), limits=DEFAULT_LIMITS)
    tracemalloc.start()
    count = 0
    for item in source:
        count += 1
        if count % 100 == 0:
            assert item.read(DEFAULT_LIMITS) == b"x"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 5_000
    assert peak < 250_000  # 50 bytes a member would be more


def test_threads_may_read_at_the_same_time(path):
    members = [(f"{n}.png", random.Random(n).randbytes(3000 + n)) for n in range(60)]
    write_zip(path, members)
    barrier = threading.Barrier(8)

    def read(item):
        if int(item.name[:-4]) < 8:
            barrier.wait(timeout=10)
        return item.name, item.read(DEFAULT_LIMITS)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, open_source(str(path), limits=DEFAULT_LIMITS))) == members
