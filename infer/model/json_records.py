"""JSON read into frozen dataclasses with every field checked, and dataclasses written as JSON.

JSON that was cut short, edited by hand or written by another program is told from a good one here, so
that no reader meets a missing key or a wrong type later. The reasons that JsonError gives are for a
person: they name the field (`test.classes.covid.recall`), what it is and what it should be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from xray_infer.errors import one_line

MAX_BYTES: Final = 16 * 1024 * 1024  # a thousand times the largest record that a run writes
MAX_COUNT: Final = 2**63 - 1  # the quotient of larger ones may be beyond float64
LONGEST_NAME: Final = 100
LONGEST_VALUE: Final = 40

# A number that may be NaN or infinite: the loss of a training that diverged.
AnyFloat = Annotated[float, "may be NaN or infinite"]
# How many there are: a whole number from 0 to MAX_COUNT.
Count = Annotated[int, "from 0"]

# Metadata of a field that is a dataclass whose own fields lie in the same JSON object.
FLAT: Final = MappingProxyType({"flat": True})
# Metadata of a mapping: the fields of the JSON object that the dataclass does not have, as they were read.
REST: Final = MappingProxyType({"rest": True})
# Metadata of a mapping: the JSON object as it was read, and as it is written again.
WHOLE: Final = MappingProxyType({"whole": True})

T = TypeVar("T")


class JsonError(ValueError):
    """What is wrong with some JSON, as the end of a sentence that begins with the file's name."""


def load_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds, its values unchecked. Raises OSError and JsonError."""
    return json_object(load_json(path))


def load_json(path: Path) -> object:
    """Return what a JSON file holds. Raises OSError, and JsonError for what is not JSON or too large."""
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise JsonError(f"larger than {MAX_BYTES // 1024**2} MB")
    if not data.strip():
        raise JsonError("the file is empty")
    return parse_json(data)


def parse_json(data: str | bytes) -> object:
    """Return what JSON text says. Raises JsonError."""
    try:
        found: object = json.loads(data)
    except UnicodeDecodeError as error:
        raise JsonError("not text in UTF-8") from error
    except RecursionError as error:
        raise JsonError("nested too deeply") from error
    except ValueError as error:
        raise JsonError(f"not valid JSON: {error}") from error
    return found


def json_object(value: object) -> dict[str, Any]:
    """Return the value if it is a JSON object. Raises JsonError."""
    if not isinstance(value, dict):
        raise JsonError(f"{shown(value)} where a JSON object is expected")
    return value


def shown(value: object) -> str:
    """Return a JSON value for an error: short, and without what could disturb a terminal."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    return one_line(json.dumps(value), longest=LONGEST_VALUE)


def from_json(kind: type[T], value: object, *, where: str = "", known_only: bool = False) -> T:
    """Return a JSON value as `kind`, a dataclass or what the fields of one are annotated with.

    Supported are bool, int, float, str, Count, AnyFloat, Any, unions with None, `tuple[X, ...]`,
    `tuple[X, Y]`, `Mapping[str, X]`, `dict[str, X]` and dataclasses of these. A whole number is a float too,
    and stays what it is. A field without a default is required; null stands for a default. Fields that the
    dataclass does not have are left out; with `known_only` they are refused, except below a dataclass that
    keeps the WHOLE object. `where` names the value in errors. Raises JsonError.
    """
    decoded: T = _decode(kind, value, where, known_only)
    return decoded


def to_json(record: Any) -> dict[str, Any]:
    """Return a dataclass as the JSON object that `from_json` reads; a None by default is left out."""
    found: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.metadata == WHOLE:
            return dict(value)
        if field.metadata in (FLAT, REST):
            found |= value if field.metadata == REST else to_json(value)
        elif value is not None or field.default is not None:
            found[field.name] = _encode(value)
    return found


def _encode(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)
    if isinstance(value, Mapping):
        return {name: _encode(one) for name, one in value.items()}
    return [_encode(one) for one in value] if isinstance(value, list | tuple) else value


def _decode(kind: Any, value: object, where: str, known_only: bool) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        (inner,) = (one for one in get_args(kind) if one is not NoneType)
        return None if value is None else _decode(inner, value, where, known_only)
    if origin is tuple:
        return _decode_tuple(get_args(kind), value, where, known_only)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            _refuse("an object", value, where)
        item = get_args(kind)[1]
        return {name: _decode(item, one, _inside(where, name), known_only) for name, one in value.items()}
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, where, known_only)
    expected, fits = SCALARS[kind]
    return value if fits(value) else _refuse(expected, value, where)


def _decode_tuple(kinds: tuple[Any, ...], value: object, where: str, known_only: bool) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        _refuse("a list", value, where)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise JsonError(f"{where} has {len(value)} values where {len(kinds)} are expected")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, one, f"{where}[{index}]", known_only) for index, (kind, one) in pairs)


def _decode_dataclass(kind: Any, value: object, where: str, known_only: bool) -> Any:
    if not isinstance(value, dict):
        _refuse("an object", value, where)
    unknown = {name: one for name, one in value.items() if name not in _names(kind)}
    if any(field.metadata == WHOLE for field in fields(kind)):
        known_only = False
    if known_only and unknown:
        names = one_line(", ".join(sorted(unknown)), longest=LONGEST_NAME)
        raise JsonError(f"{where or 'the object'} has unknown fields: {names}")
    found = {}
    for field in fields(kind):
        hint = _hints(kind)[field.name]
        if field.metadata == FLAT:
            own = {name: one for name, one in value.items() if name in _names(hint)}
            found[field.name] = _decode(hint, own, where, known_only)
        elif field.metadata in (REST, WHOLE):
            found[field.name] = unknown if field.metadata == REST else value
        else:
            required = field.default is MISSING and field.default_factory is MISSING
            if required and field.name not in value:
                raise JsonError(f"{_inside(where, field.name)} is missing")
            if required or value.get(field.name) is not None:
                found[field.name] = _decode(hint, value[field.name], _inside(where, field.name), known_only)
    return kind(**found)


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _names(kind: Any) -> frozenset[str]:
    """Return the names of a dataclass's fields in JSON."""
    named = {field.name for field in fields(kind) if field.metadata not in (FLAT, REST, WHOLE)}
    flat = (_names(_hints(kind)[field.name]) for field in fields(kind) if field.metadata == FLAT)
    return frozenset(named.union(*flat))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    try:
        return _is_number(value) and math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


SCALARS: Final[Mapping[Any, tuple[str, Callable[[Any], bool]]]] = {
    str: ("text", lambda value: isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", _is_whole),
    Count: ("a count", lambda value: _is_whole(value) and 0 <= value <= MAX_COUNT),
    float: ("a finite number", _is_finite),
    AnyFloat: ("a number", _is_number),
}


def _refuse(expected: str, value: object, where: str) -> NoReturn:
    raise JsonError(f"{where or 'the value'} is {shown(value)} where {expected} is expected")


def _inside(where: str, name: str) -> str:
    """Name a field; the names of a mapping come from the file and may hold anything."""
    name = one_line(name, longest=LONGEST_NAME)
    return f"{where}.{name}" if where else name
