"""The journal beside an output lists the finished inputs, so that a killed run can be resumed.

`OUT.journal` is UTF-8 text with one JSON value per line; lines are only ever appended:

    {"journal": 2, "fingerprint": {...}}          what the rows depend on: model, rules, limits, source
    ["name", "stamp", {row}]                      one finished input; the row without what the model fixes,
                                                  with what the alarm needs of the film

Invariants:
- Each line is written in one system call as soon as its row is known, so the process may be killed at any
  moment. The file is synced once per second, so a power cut loses about one second of work.
- A line counts once its newline is there. What follows the last newline is a torn write and is cut off.
- An input is finished when a line has its name and its stamp (size and mtime, ETag, CRC). A changed input
  has a new stamp and is classified again. An input that could not be read has no line and is tried again.
- Lines may belong to inputs that no longer exist, and may be in another order than the source: every run
  writes the output anew, in the order of the source, from these rows and new ones.
- The file is locked, so only one run can use it. It is removed after the output appears under its own name.

While a run is resumed, memory holds 16 bytes per line: a hash and a position.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from xray_infer.atomic import refusal
from xray_infer.errors import OutputError
from xray_infer.images.preprocess import Area
from xray_infer.run.results import Row, RowMaker
from xray_infer.run.settings import Fingerprint, differences

JOURNAL_VERSION: Final = 2  # 1 keeps nothing for the alarm
SUFFIX: Final = ".journal"
SECONDS_BETWEEN_SYNCS: Final = 1.0
_LOCKED_BYTE: Final = 1 << 62  # far behind the end


class Journal(AbstractContextManager["Journal", None]):
    """The journal of one output file; see the module. A context manager that unlocks it, and keeps it.

    `resumed` is the number of finished inputs that were found.
    """

    def __init__(self, out: Path, fingerprint: Fingerprint, maker: RowMaker, *, restart: bool) -> None:
        """Open or make `OUT.journal`. Raises OutputError: not writable, locked, or of another fingerprint."""
        self.path = out.with_name(out.name + SUFFIX)
        self._maker = maker
        self._file = self._open_locked(out)
        try:
            if restart:
                self._file.truncate(0)
            self._hashes, self._positions = self._read(fingerprint, out)
        except BaseException:
            self._file.close()
            raise
        self.resumed = len(self._hashes)
        self._synced = time.monotonic()

    def find(self, name: str, stamp: str) -> Row | None:
        """Return the row of a finished input, None for one that is new, changed or without a stamp."""
        if not stamp or not len(self._hashes):
            return None
        wanted = _hash(name, stamp)
        first = int(np.searchsorted(self._hashes, wanted))
        for index in range(first, len(self._hashes)):
            if self._hashes[index] != wanted:
                return None
            self._file.seek(int(self._positions[index]))
            entry = _entry(_line(self._file))
            if entry is not None and entry[:2] == [name, stamp]:
                return self._row(entry[2])
        return None

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yield every finished input's name and row, in the order in which they were appended."""
        with open(self.path, "rb") as stream:
            stream.readline()
            for line in stream:
                entry = _entry(line)
                if entry is not None:
                    yield entry[0], self._row(entry[2])

    def append(self, name: str, stamp: str, row: Row) -> None:
        """Write one finished input through to the operating system. Raises OutputError (a full disk)."""
        entry = [
            name,
            stamp,
            {
                "path": row.path,
                "status": row.status,
                "probabilities": row.probabilities,
                "label": row.label,
                "ood_score": row.ood_score,
                "reason": row.reason,
                "area": None if row.area is None else astuple(row.area),
                "position": base64.b64encode(row.position).decode("ascii"),
                "station": row.station,
            },
        ]
        self._write(entry)
        if time.monotonic() - self._synced >= SECONDS_BETWEEN_SYNCS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def remove(self) -> None:
        """Remove the journal: the output is in place."""
        if os.name == "nt":  # where an open file cannot be removed
            self._file.close()
        self.path.unlink(missing_ok=True)
        self._file.close()

    def _open_locked(self, out: Path) -> BinaryIO:
        while True:
            try:
                file = open(self.path, "a+b", buffering=0)  # noqa: SIM115  closed by __exit__
            except OSError as error:
                raise refusal(out, "cannot write there", error) from error
            try:
                _lock(file, out)
                # Between opening and locking, the run that held it may have ended and removed it.
                if self.path.exists() and os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _write(self, value: object) -> None:
        # ASCII: names with bytes that are not UTF-8 (lone surrogates) come back as they were.
        line = json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            written = self._file.write(line)
            if written != len(line):  # a full disk takes a part; the next write says so
                self._file.write(line[written:])
        except OSError as error:
            raise refusal(self.path, "cannot write", error) from error

    def _row(self, fields: dict[str, Any]) -> Row:
        maker, area = self._maker, fields["area"]
        typed = {
            "probabilities": tuple(fields["probabilities"]),
            "area": None if area is None else Area(*area),
            "position": base64.b64decode(fields["position"]),
        }
        return Row(
            model=maker.model,
            model_sha256=maker.model_sha256,
            preprocessing_version=maker.preprocessing_version,
            class_names=maker.class_names,
            runtime=maker.runtime,
            **{**fields, **typed},
        )

    def _read(self, fingerprint: Fingerprint, out: Path) -> tuple[np.ndarray, np.ndarray]:
        """Check the first line, cut off a torn last one, and index the others."""
        file = self._file
        file.seek(0)
        header = _line(file)
        if not header.endswith(b"\n"):  # new, or killed while it was begun
            file.truncate(0)
            self._write({"journal": JOURNAL_VERSION, "fingerprint": dict(fingerprint)})
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        self._check(header, fingerprint, out)
        hashes, positions = bytearray(), bytearray()
        with open(self.path, "rb") as stream:  # buffered, and a position of its own
            position = stream.seek(len(header))
            for line in stream:
                if not line.endswith(b"\n"):
                    file.truncate(position)
                    break
                entry = _entry(line)
                if entry is not None:  # a line that a disk has damaged counts for nothing
                    hashes += _hash(entry[0], entry[1]).tobytes()
                    positions += np.int64(position).tobytes()
                position += len(line)
        newest_first = np.frombuffer(hashes, np.uint64)[::-1]
        order = np.argsort(newest_first, kind="stable")
        return newest_first[order], np.frombuffer(positions, np.int64)[::-1][order]

    def _check(self, header: bytes, fingerprint: Fingerprint, out: Path) -> None:
        """Raise OutputError when the journal is not of this run's fingerprint, with the difference."""
        go_on = f"give --restart to start {out} over, or another --out"
        try:
            fields = json.loads(header)
            version, found = fields["journal"], dict(fields["fingerprint"])
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{self.path}: not a journal of xray-infer; remove it, or {go_on}") from error
        if version != JOURNAL_VERSION:
            raise OutputError(f"{self.path}: a journal of another version of xray-infer; {go_on}")
        different = differences(found, fingerprint)
        if different:
            raise OutputError(f"{self.path}: an unfinished run of another kind: {different}; {go_on}")

    def __exit__(self, *error: object) -> None:
        """Close it, however the block ends."""
        self.close()

    def close(self) -> None:
        """Close and unlock the file, and keep it."""
        self._file.close()


def _lock(file: BinaryIO, out: Path) -> None:
    """Lock a file until it is closed. Raises OutputError when another process holds it."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(_LOCKED_BYTE)  # there a lock keeps others from reading, too
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise OutputError(
            f"{out}: another run is writing it; wait for that, or give another --out"
        ) from error
    except OSError:  # a file system without locks: nothing guards, and nothing is lost by that alone
        return


def _hash(name: str, stamp: str) -> np.uint64:
    text = json.dumps([name, stamp]).encode("ascii")
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()))


def _line(file: BinaryIO) -> bytes:
    """Read a line of an unbuffered file in few reads; what readline does byte by byte."""
    parts: list[bytes] = []
    while chunk := file.read(4096):
        head, newline, _ = chunk.partition(b"\n")
        parts.append(head + newline)
        if newline:
            break
    return b"".join(parts)


def _entry(line: bytes) -> list[Any] | None:
    """Return [name, stamp, fields], None for a line that is not one."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], dict)
    return entry if whole else None
