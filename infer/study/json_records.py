"""JSON that a file holds, read into frozen dataclasses with every field checked.

A file that was cut short, edited by hand or written by another program is told from a good one here, so
that no reader meets a missing key or a wrong type later. The reasons that JsonError gives are for a
person: they name the field (`test.classes.covid.recall`) and what it should be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from xray_infer.errors import one_line
from xray_infer.model.json_fields import is_number

MAX_BYTES: Final = 16 * 1024 * 1024  # a thousand times the largest record that a run writes
LONGEST_NAME: Final = 100

# A number that may be NaN or infinite: the loss of a training that diverged.
AnyFloat = Annotated[float, "may be NaN or infinite"]
# Metadata of a field that is a dataclass whose own fields lie in the same JSON object.
FLAT: Final = MappingProxyType({"flat": True})

T = TypeVar("T")


class JsonError(ValueError):
    """What is wrong with a JSON file, as the end of a sentence that begins with the file's name."""


def load_json(path: Path) -> object:
    """Return what a JSON file holds. Raises OSError, and JsonError for what is not JSON or too large."""
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise JsonError(f"larger than {MAX_BYTES // 1024**2} MB")
    if not data.strip():
        raise JsonError("the file is empty")
    try:
        found: object = json.loads(data)
    except UnicodeDecodeError as error:
        raise JsonError("not text in UTF-8") from error
    except RecursionError as error:
        raise JsonError("nested too deeply") from error
    except ValueError as error:
        raise JsonError(f"not valid JSON: {error}") from error
    return found


def load_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds, its values unchecked. Raises OSError and JsonError."""
    return json_object(load_json(path))


def json_object(value: object) -> dict[str, Any]:
    """Return the value if it is a JSON object. Raises JsonError."""
    if not isinstance(value, dict):
        raise JsonError(f"{_kind_of(value)} where a JSON object is expected")
    return value


def from_json(kind: type[T], value: object, *, where: str = "") -> T:
    """Return a JSON value as `kind`, a dataclass or what the fields of one are annotated with.

    Supported are bool, int, float, str, Any, None, unions with None, `tuple[X, ...]`, `tuple[X, Y]`,
    `Mapping[str, X]`, `dict[str, X]` and dataclasses of these. A whole number is a float too, and stays
    what it is. A field without a default is required; fields that the dataclass does not have are left
    out. `where` names the value in errors. Raises JsonError.
    """
    decoded: T = _decode(kind, value, where)
    return decoded


def _decode(kind: Any, value: object, where: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        return value if _is_any_number(value) else _refuse("a number", value, where)
    if origin in (Union, UnionType):
        (inner,) = (one for one in get_args(kind) if one is not NoneType)
        return None if value is None else _decode(inner, value, where)
    if origin is tuple:
        return _decode_tuple(get_args(kind), value, where)
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, dict):
            _refuse("an object", value, where)
        item = get_args(kind)[1]
        return {name: _decode(item, one, _inside(where, name)) for name, one in value.items()}
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    expected, fits = SCALARS[kind]
    return value if fits(value) else _refuse(expected, value, where)


def _decode_tuple(kinds: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _refuse("a list", value, where)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise JsonError(f"{where} has {len(value)} values where {len(kinds)} are expected")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, one, f"{where}[{index}]") for index, (kind, one) in pairs)


def _decode_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        _refuse("an object", value, where)
    hints = get_type_hints(kind, include_extras=True)
    found = {}
    for field in fields(kind):
        if field.metadata == FLAT:
            found[field.name] = _decode(hints[field.name], value, where)
        elif field.name in value:
            found[field.name] = _decode(hints[field.name], value[field.name], _inside(where, field.name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise JsonError(f"{_inside(where, field.name)} is missing")
    return kind(**found)


def _is_any_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


SCALARS: Final[Mapping[Any, tuple[str, Callable[[object], bool]]]] = {
    str: ("text", lambda value: isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: ("a finite number", is_number),
}


def _refuse(expected: str, value: object, where: str) -> NoReturn:
    raise JsonError(f"{where or 'the value'} is {_kind_of(value)} where {expected} is expected")


def _kind_of(value: object) -> str:
    if _is_any_number(value):
        return "a number" if is_number(value) else "a number that is not finite"
    names = {str: "text", bool: "true or false", list: "a list", dict: "an object", NoneType: "null"}
    return names[type(value)]


def _inside(where: str, name: str) -> str:
    """Name a field; the names of a mapping come from the file and may hold anything."""
    shown = one_line(name, longest=LONGEST_NAME).encode("utf-8", "backslashreplace").decode()
    return f"{where}.{shown}" if where else shown
