"""JSON read into dataclasses: what is taken, and how what is wrong is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from xray_infer.model.json_records import (
    FLAT,
    REST,
    WHOLE,
    AnyFloat,
    Count,
    JsonError,
    from_json,
    load_json,
    to_json,
)


@dataclass(frozen=True)
class Inner:
    share: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(metadata=FLAT)
    flag: bool
    count: int | None
    pair: tuple[int, float]
    table: Mapping[str, Inner]
    losses: tuple[AnyFloat, ...] = ()
    other: Any = None


GOOD = {"share": 1, "flag": True, "count": None, "pair": [1, 2.5], "table": {"a": {"share": 0.5}}}


def test_a_value_of_every_supported_kind_is_read():
    found = from_json(Outer, GOOD | {"names": ["x"], "losses": [float("nan"), 2], "unknown": 1, "other": [1]})
    assert found.inner == Inner(1, ("x",))
    assert isinstance(found.inner.share, int)  # a whole number stays what it was written as
    assert (found.flag, found.count, found.pair) == (True, None, (1, 2.5))
    assert found.table == {"a": Inner(0.5)}
    assert len(found.losses) == 2
    assert found.other == [1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": True}, "share is true where a finite number is expected"),
        (
            {"share": 10**400},
            "share is 1000000000000000000000000000000000000... where a finite number is expected",
        ),
        ({"share": float("inf")}, "share is Infinity where a finite number is expected"),
        ({"flag": 1}, "flag is 1 where true or false is expected"),
        ({"flag": None}, "flag is null where true or false is expected"),
        ({"count": 1.5}, "count is 1.5 where a whole number is expected"),
        ({"pair": [1]}, "pair has 1 values where 2 are expected"),
        ({"pair": {}}, "pair is an object where a list is expected"),
        ({"pair": [1, "x"]}, 'pair[1] is "x" where a finite number is expected'),
        ({"table": []}, "table is a list where an object is expected"),
        ({"table": {"a": {}}}, "table.a.share is missing"),
        ({"table": {"a": 1}}, "table.a is 1 where an object is expected"),
        ({"names": ["x", 1]}, "names[1] is 1 where text is expected"),
        ({"losses": ["nan"]}, 'losses[0] is "nan" where a number is expected'),
    ],
)
def test_what_is_wrong_is_named(change, reason):
    with pytest.raises(JsonError) as caught:
        from_json(Outer, GOOD | change)
    assert str(caught.value) == reason


@dataclass(frozen=True)
class Kept:
    inner: Inner | None = None
    size: Count = 0
    whole: Mapping[str, Any] = field(default_factory=dict, metadata=WHOLE)


@dataclass(frozen=True)
class Rest:
    inner: Inner = field(metadata=FLAT)
    size: Count | None
    label: str | None = None
    kept: Kept | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, metadata=REST)


def test_what_is_read_is_written_again():
    whole = {"inner": {"share": 0.5, "more": [1]}, "size": 3, "more": {"a": None}}
    stored = {"share": 0.1 + 0.2, "names": ["x"], "size": None, "kept": whole, "other": [1, {"b": 2}]}
    found = from_json(Rest, stored)
    assert found.rest == {"other": [1, {"b": 2}]}
    assert found.kept == Kept(Inner(0.5), 3, whole)
    assert to_json(found) == stored
    assert from_json(Rest, to_json(found)) == found


def test_null_stands_for_a_default():
    assert from_json(Kept, {"inner": None, "size": None}) == Kept(whole={"inner": None, "size": None})


def test_fields_that_would_be_lost_are_refused_where_that_is_asked():
    strange = {"share": 1, "size": 1, "\x1b[31m\n\ud800" + "x" * 1000: 1}
    with pytest.raises(JsonError, match="here has unknown fields: ") as caught:
        from_json(Rest, strange, where="here", known_only=True)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    kept = {"inner": {"share": 1, "more": 1}, "more": 1}
    good = {"share": 1, "size": 1, "kept": kept}
    assert from_json(Rest, good, known_only=True).kept == Kept(Inner(1), whole=kept)


@pytest.mark.parametrize("damage", [-1, 2**63, 10**400, 1.0, True, "1", float("nan")])
def test_a_count_is_a_whole_number_from_0(damage):
    for good in (0, 2**63 - 1):
        assert from_json(Kept, {"size": good}).size == good
    with pytest.raises(JsonError, match=r"^m\.size is .* where a count is expected$") as caught:
        from_json(Kept, {"size": damage}, where="m")
    assert len(str(caught.value)) < 100


def test_a_value_from_the_file_cannot_disturb_the_line():
    with pytest.raises(JsonError) as caught:
        from_json(Inner, {"share": "\x1b[31m\n\ud800" + "x" * 10_000})
    assert str(caught.value).startswith(r'share is "\u001b[31m\n\ud800xxx')
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_a_file_that_is_not_json(tmp_path):
    path = tmp_path / "x.json"
    for data, reason in ((b" \n", "the file is empty"), (b"{", "not valid JSON"), (b'"\xff"', "not text in")):
        path.write_bytes(data)
        with pytest.raises(JsonError, match=reason):
            load_json(path)
