"""Strict reading of JSON objects that a file holds: what is not of its type raises ModelError, in one line.

A reader takes a JSON value and `where` it stands ("m.onnx: parity.agreement") and returns the value. Readers
are combined: `objects_of(listed(text))` reads {"a": ["b", "c"]}.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Final, TypeGuard, TypeVar

from xray_infer.errors import ModelError

T = TypeVar("T")
Reader = Callable[[object, str], T]


MOST: Final = 2**63 - 1  # of a count; the quotient of larger ones may be beyond float64


class Fields:
    """The fields of one JSON object. Raises ModelError for what is none."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, where, "a JSON object")
        self._fields: Mapping[str, object] = value
        self._where = where
        self._known: set[str] = set()

    def need(self, key: str, read: Reader[T]) -> T:
        """Return a field's value. Raises ModelError where it is missing or not what `read` reads."""
        if key not in self._fields:
            raise ModelError(f"{self._where} has no {key}")
        self._known.add(key)
        return read(self._fields[key], f"{self._where}.{key}")

    def find(self, key: str, read: Reader[T]) -> T | None:
        """Return a field's value, None where it is missing or null."""
        self._known.add(key)
        value = self._fields.get(key)
        return None if value is None else read(value, f"{self._where}.{key}")

    def end(self) -> None:
        """Raise ModelError where a field was neither needed nor looked for: writing would lose it."""
        unknown = sorted(self._fields.keys() - self._known)
        if unknown:
            raise ModelError(f"{self._where} has unknown fields: {', '.join(unknown)}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a JSON value is a finite number; true and false are none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def number(value: object, where: str) -> float:
    """Read a finite number; an integer stays one, so that it is written as it was read."""
    if not is_number(value):
        raise _wrong(value, where, "a number")
    return value


def count(value: object, where: str) -> int:
    """Read how many there are."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise _wrong(value, where, "a count")
    return value


def text(value: object, where: str) -> str:
    """Read a string."""
    if not isinstance(value, str):
        raise _wrong(value, where, "a text")
    return value


def flag(value: object, where: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise _wrong(value, where, "true or false")
    return value


def interval(value: object, where: str) -> tuple[float, float]:
    """Read the two ends of an interval."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _wrong(value, where, "an interval of two numbers")
    return number(value[0], where), number(value[1], where)


def listed(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """Return the reader of a list of what `read` reads."""

    def read_all(value: object, where: str) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise _wrong(value, where, "a list")
        return tuple(read(one, where) for one in value)

    return read_all


def objects_of(read: Reader[T]) -> Reader[dict[str, T]]:
    """Return the reader of an object of any keys, whose values `read` reads."""

    def read_all(value: object, where: str) -> dict[str, T]:
        if not isinstance(value, dict):
            raise _wrong(value, where, "a JSON object")
        return {key: read(one, f"{where}.{key}") for key, one in value.items()}

    return read_all


def _wrong(value: object, where: str, wanted: str) -> ModelError:
    return ModelError(f"{where} is {reprlib.repr(value)}, not {wanted}")
