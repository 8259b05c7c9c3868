"""Tar archives, plain and compressed, friendly and hostile."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from approved import approved
from source_rows import DICOM, JPEG, PNG, content, names, rows

from xray_infer.errors import SourceError, XrayError
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.run.sources.opening import open_source

SAYS = approved("xray-infer")

KINDS = ["", "gz", "bz2", "xz"]
PACK = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
MORE = "; there may be more images in it"
CUT = f"ImageError: damaged or truncated: the end mark is missing{MORE}"


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "films.tar"


def member(name: str, size: int = 0, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar_of(*members: tuple[str | tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of (name or header, content) pairs; a header keeps the size that it declares."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for info, data in members:
            if isinstance(info, str):
                info = member(info, len(data))
            # Not addfile, which from Python 3.13 on wants the content that the header declares.
            stream.write(info.tobuf(archive.format, archive.encoding, archive.errors))
            stream.write(data + bytes(-len(data) % 512))
            archive.offset = stream.tell()
    return stream.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("kind", KINDS)
def test_images_are_read_by_name_or_content(path, kind, form):
    large = random.Random(1).randbytes(700_001)
    data = tar_of(
        ("./z.png", PNG),
        (member("./ward", type=tarfile.DIRTYPE), b""),
        ("./ward/IM0001", DICOM),
        ("./ward/notes.txt", b"none"),
        ("./ward/large.jpg", large),
        ("./ward/empty.png", b""),
        ("./DICOMDIR", DICOM),
        ("./.hidden.png", PNG),
        ("./__MACOSX/x.png", PNG),
        ("./inner.tar.gz", gzip.compress(tar_of(("x.png", PNG)))),
        ("./" + "long " * 18 + "/" + "name " * 10 + "ü.jpg", JPEG),
        form=form,
    )
    path.write_bytes(PACK[kind](data))
    source = open_source(str(path), limits=DEFAULT_LIMITS)
    assert rows(source) == [
        ("z.png", PNG),
        ("ward/IM0001", DICOM),
        ("ward/large.jpg", large),
        ("ward/empty.png", b""),
        ("long " * 18 + "/" + "name " * 10 + "ü.jpg", JPEG),
    ]
    assert source.skipped == 5
    assert source.count() == (None if kind else 5)
    assert source.location == str(path)
    stamps = [item.stamp() for item in source]
    assert len(set(stamps)) == 5
    assert "" not in stamps


def test_old_archives_without_a_magic_and_streams_that_follow_each_other(path):
    data = bytearray(tar_of(("x.png", PNG), form=tarfile.USTAR_FORMAT))
    data[257:265] = bytes(8)
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 256 + sum(data[156:512]))
    path.write_bytes(data)
    assert rows(str(path)) == [("x.png", PNG)]
    path.write_bytes(
        gzip.compress(data[:700]) + gzip.compress(data[700:]) + bytes(512)
    )  # as pigz, and padded
    assert rows(str(path)) == [("x.png", PNG)]


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_lead_outside_are_rows(path, kind):
    evil = ["../../x.png", "/etc/x.png", "C:\\x.png", "a/../../x.png", "..\\x.png"]
    path.write_bytes(PACK[kind](tar_of(*((name, PNG) for name in ("a.png", *evil, "b.png")))))
    (first, *found, last) = rows(str(path))
    assert (first, last) == (("a.png", PNG), ("b.png", PNG))
    reason = "ImageError: its name leads outside the source, so it is not read; nothing was unpacked to disk"
    assert found == [(name, reason) for name in evil]


@pytest.mark.parametrize("kind", KINDS)
def test_links_and_devices_are_not_followed(path, kind):
    types = {
        "link.png": tarfile.SYMTYPE,
        "hard.png": tarfile.LNKTYPE,
        "pipe.png": tarfile.FIFOTYPE,
        "disk.png": tarfile.BLKTYPE,
        "link": tarfile.SYMTYPE,
        "pipe": tarfile.FIFOTYPE,
    }
    infos = [(member(name, type=kind, linkname="/etc/passwd"), b"") for name, kind in types.items()]
    path.write_bytes(PACK[kind](tar_of(*infos, ("x.png", PNG))))
    source = open_source(str(path), limits=DEFAULT_LIMITS)
    link = "ImageError: a link inside the archive, which is not followed"
    special = "ImageError: a special file inside the archive, which is not followed"
    assert rows(source) == [
        ("link.png", link),
        ("hard.png", link),
        ("pipe.png", special),
        ("disk.png", special),
        ("x.png", PNG),
    ]
    assert source.skipped == 2


def test_sparse_members_are_rows(path):
    info = member("x.png", len(PNG), pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 60)})
    path.write_bytes(tar_of((info, PNG), ("y.png", PNG)))
    reason = "ImageError: a sparse file, which is not supported: unpack the archive first"
    assert rows(str(path)) == [("x.png", reason), ("y.png", PNG)]


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_anywhere_it_says_so(path, kind):
    """Members before the cut are rows; whatever comes of the cut one, the archive's own row is last."""
    complete = {f"{n}.png": PNG + random.Random(n).randbytes(1500) for n in range(4)}
    data = PACK[kind](tar_of(*complete.items()))
    end = len(data) if kind else 4 * 512 * 6  # a plain one's padding may go
    told, refused = 0, []
    for length in [*range(600, end, 211), end - 1]:
        path.write_bytes(data[:length])
        try:
            *found, (last, reason) = rows(str(path))
        except SourceError as error:
            refused.append(str(error))
            continue
        told += 1
        assert last == "films.tar"
        assert reason.startswith("ImageError: ")
        assert reason.endswith(MORE)
        for name, data_or_reason in found:
            assert data_or_reason in (
                complete[name],
                SAYS["imageerror-truncated-the-archive"],
                SAYS["imageerror-truncated-the-packed"],
            )
    assert told + len(refused) > 20
    assert all("films.tar: compressed with" in line for line in refused)  # cut before its first header
    assert told > {"": 20, "gz": 5, "bz2": -1, "xz": 5}[kind]


def test_a_cut_between_members_is_seen_by_the_missing_end_mark(path):
    whole = tar_of(("a.png", PNG), ("b.png", PNG))
    path.write_bytes(whole[: 512 + 1536])
    assert rows(str(path)) == [("a.png", PNG), ("films.tar", CUT)]


def test_garbage_between_members_is_no_end(path):
    """Python's tarfile takes it for one, and says nothing."""
    data = bytearray(tar_of(("a.png", PNG), ("b.png", PNG), ("c.png", PNG)))
    data[2048] ^= 0xFF
    path.write_bytes(data)
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["a.png"]
    assert rows(str(path)) == [("a.png", PNG), ("films.tar", CUT)]


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_wrong_checksum_of_the_whole_is_a_row(path, kind):
    """Contents may be damaged without a sign: the members before it were read all the same."""
    noise = random.Random(8).randbytes(200_000)
    data = bytearray(PACK[kind](tar_of(("a.png", PNG), ("b.png", noise))))
    if kind == "bz2":  # the first block is sound, the checksum of all is not
        data = bytearray(bz2.compress(tar_of(("a.png", PNG), ("b.png", noise * 6))))
    data[{"gz": -8, "bz2": -4, "xz": -40}[kind]] ^= 1
    path.write_bytes(data)
    first, *_, (name, reason) = rows(str(path))
    assert first == ("a.png", PNG)
    assert name == "films.tar"
    assert reason.startswith(SAYS["imageerror-damaged-it-cannot"])
    assert reason.endswith(MORE)


@pytest.mark.parametrize("kind", KINDS)
def test_declared_sizes_are_not_believed(path, kind):
    for size in (1 << 20, 1 << 40, (1 << 63) + 5):
        info = member("b.png", size)
        path.write_bytes(PACK[kind](tar_of(("a.png", PNG), (info, PNG), form=tarfile.GNU_FORMAT)))
        first, second, *others = rows(str(path))
        assert first == ("a.png", PNG)
        assert second[0] == "b.png"
        assert second[1].startswith("ImageError: ")
        assert [name for name, _ in others] == ["films.tar"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flag", [tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE])
def test_negative_sizes_end_it(path, kind, flag):
    """They lead backwards: the standard library met them with an endless loop. A sparse one hides its own."""
    data = bytearray(tar_of(("a.png", PNG), ("b.png", PNG), ("c.png", PNG), form=tarfile.GNU_FORMAT))
    for size in (-1024, -2048):
        data[2048 + 124 : 2048 + 136] = b"\xff" + size.to_bytes(11, "big", signed=True)
        data[2048 + 156] = flag[0]
        data[2048 + 483 : 2048 + 495] = b"00000002010\0"  # the size of a sparse file when it is not packed
        head = data[2048:2560]
        head[148:156] = b" " * 8
        data[2048 + 148 : 2048 + 156] = b"%06o\0 " % sum(head)
        path.write_bytes(PACK[kind](bytes(data)))
        first, *_, (name, reason) = found = rows(str(path))
        assert len(found) == (2 if flag == tarfile.REGTYPE else 3)
        assert first == ("a.png", PNG)
        assert name == "films.tar"
        assert reason.startswith(SAYS["imageerror-damaged-or-truncated"])
        assert reason.endswith(MORE)


@pytest.mark.parametrize("kind", KINDS)
def test_headers_that_ask_for_much_are_refused(path, kind):
    long_name = member("././@LongLink", 1 << 40, type=tarfile.GNUTYPE_LONGNAME)
    attributes = member("x", 2 << 20, type=tarfile.XHDTYPE)
    for info in (long_name, attributes):
        path.write_bytes(PACK[kind](tar_of(("a.png", PNG), (info, bytes(2 << 20)), form=tarfile.GNU_FORMAT)))
        tracemalloc.start()
        found = rows(str(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        reason = "ImageError: damaged or truncated: a header of more than 1,048,576 bytes" + MORE
        assert found == [("a.png", PNG), ("films.tar", reason)]
        assert peak < 16 << 20  # of which xz's dictionary takes a half


def test_a_dictionary_may_not_take_all_memory(path, monkeypatch):
    from xray_infer.run.sources import unpack

    path.write_bytes(lzma.compress(tar_of(("a.png", PNG))))
    monkeypatch.setattr(unpack, "_MOST_MEMORY", 1 << 20)
    with pytest.raises(SourceError, match="Memory usage limit exceeded"):
        rows(str(path))


@pytest.mark.parametrize("kind", ["", "gz"])
def test_chains_of_headers_end(path, kind):
    chain = [(member("x", 12, type=tarfile.XHDTYPE), b"12 path=abc\n")] * 900
    path.write_bytes(PACK[kind](tar_of(("a.png", PNG), *chain, ("b.png", PNG), form=tarfile.USTAR_FORMAT)))
    first, (name, reason) = rows(str(path))
    assert first == ("a.png", PNG)
    assert name == "films.tar"
    assert SAYS["too-many-headers-in"] in reason


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_bombs_are_stopped_by_their_ratio(path, kind):
    """24 MB of zeros, as an image or as something to be passed over on the way to one."""
    pack = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[kind]
    size = 24 << 20
    for name in ("b.png", "b.txt"):
        with pack(path, "wb") as stream:
            stream.write(tar_of(("a.png", PNG))[:2048])
            stream.write(member(name, size).tobuf(tarfile.GNU_FORMAT))
            for _ in range(size >> 20):
                stream.write(bytes(1 << 20))
            stream.write(tar_of(("c.png", PNG)))
        tracemalloc.start()
        found = rows(str(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found[0] == ("a.png", PNG)
        assert [name for name, _ in found[1:]] == (
            ["b.png", "films.tar"] if name == "b.png" else ["films.tar"]
        )
        for _, reason in found[1:]:
            assert reason.startswith(SAYS["imageerror-unpacks-to-more-than"])
        assert peak < 20 << 20


def test_each_limit_on_the_archive(path):
    data = tar_of(*((f"{n}.png", PNG) for n in range(4)))
    for kind in KINDS:
        path.write_bytes(PACK[kind](data))
        assert [name for name, _ in rows(str(path), Limits(max_members=4))] == [f"{n}.png" for n in range(4)]
        assert rows(str(path), Limits(max_members=3))[3:] == [
            ("films.tar", SAYS["imageerror-more-than-members"].format(value=MORE))
        ]
        small = Limits(max_file_bytes=1031)
        assert {reason for _, reason in rows(str(path), small)} == {SAYS["imageerror-bytes-unpacked-the"]}
    small = Limits(max_archive_bytes=2 * len(PNG))
    path.write_bytes(data)
    over = "ImageError: the archive unpacks to more than 2,064 bytes, the limit"
    assert rows(str(path), small) == [("0.png", PNG), ("1.png", PNG), ("2.png", over), ("3.png", over)]
    noise = random.Random(5).randbytes(400_000)
    path.write_bytes(gzip.compress(tar_of(*((f"{n}.png", noise) for n in range(4)))))
    found = rows(str(path), Limits(max_archive_bytes=1_000_000))
    assert [name for name, data in found if data == noise] == ["0.png", "1.png"]
    assert found[-1] == ("films.tar", SAYS["imageerror-unpacks-to-more"].format(value=MORE))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(PNG, mtime=0), "compressed with gzip, but no tar archive; unpack it first"),
        (gzip.compress(PNG, mtime=0)[:20], "compressed with gzip: truncated: the packed data end too early"),
        (b"\x1f\x8b\x08\x00" + bytes(600), "compressed with gzip: "),
        (b"BZh9" + bytes(600), "compressed with bzip2: damaged: it cannot be unpacked"),
        (b"\xfd7zXZ\0" + bytes(600), "compressed with xz: damaged: it cannot be unpacked"),
        (tar_of(("x.txt", b"none")), r"no images in this archive \(1 other files\)"),
    ],
)
def test_what_is_no_archive_of_images_is_one_line(path, data, message):
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message) as caught:
        rows(str(path))
    assert "\n" not in str(caught.value)


def test_the_standard_library_and_we_find_the_same(path):
    rng = random.Random(6)
    members = {f"d{rng.randrange(9)}/{n}.png": rng.randbytes(rng.randrange(3000)) for n in range(200)}
    for kind in KINDS:
        path.write_bytes(PACK[kind](tar_of(*members.items())))
        assert dict(rows(str(path))) == members
        with tarfile.open(path) as archive:
            assert names(str(path)) == archive.getnames()


@pytest.mark.parametrize("kind", ["", "gz"])
def test_memory_does_not_grow_with_the_number_of_members(path, kind):
    path.write_bytes(PACK[kind](tar_of(*((f"ward/{n:06}.png", b"x") for n in range(1500)))))
    tracemalloc.start()
    count = sum(1 for item in open_source(str(path), limits=DEFAULT_LIMITS) if content(item) == b"x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1500
    assert peak < 500_000


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_never_ends_a_run(path, kind):
    data = tar_of(*((f"{n}.png", PNG) for n in range(4)), form=tarfile.GNU_FORMAT)
    rng = random.Random(7)
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 3))):
            header = 2048 * rng.randrange(4)
            field = rng.choice((124 + rng.randrange(12), 156, rng.randrange(512)))
            changed[header + field] = rng.choice((0, 0x80, 0xFF, rng.randrange(256)))
            changed[header + 148 : header + 156] = b" " * 8
            changed[header + 148 : header + 156] = b"%06o\0 " % sum(changed[header : header + 512])
        path.write_bytes(PACK[kind](bytes(changed)))
        try:
            found = rows(str(path))
        except XrayError:
            continue
        assert len(found) <= 5
