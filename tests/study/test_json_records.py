"""JSON read into dataclasses: what is taken, and how what is wrong is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from xray_infer.study.json_records import FLAT, AnyFloat, JsonError, from_json, load_json


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
        ({"share": True}, "share is true or false where a finite number is expected"),
        ({"share": 10**400}, "share is a number that is not finite where a finite number is expected"),
        ({"share": float("inf")}, "share is a number that is not finite where a finite number is expected"),
        ({"flag": 1}, "flag is a number where true or false is expected"),
        ({"flag": None}, "flag is null where true or false is expected"),
        ({"count": 1.5}, "count is a number where a whole number is expected"),
        ({"pair": [1]}, "pair has 1 values where 2 are expected"),
        ({"pair": {}}, "pair is an object where a list is expected"),
        ({"pair": [1, "x"]}, "pair[1] is text where a finite number is expected"),
        ({"table": []}, "table is a list where an object is expected"),
        ({"table": {"a": {}}}, "table.a.share is missing"),
        ({"table": {"a": 1}}, "table.a is a number where an object is expected"),
        ({"names": ["x", 1]}, "names[1] is a number where text is expected"),
        ({"losses": ["nan"]}, "losses[0] is text where a number is expected"),
    ],
)
def test_what_is_wrong_is_named(change, reason):
    with pytest.raises(JsonError) as caught:
        from_json(Outer, GOOD | change)
    assert str(caught.value) == reason


def test_a_file_that_is_not_json(tmp_path):
    path = tmp_path / "x.json"
    for data, reason in ((b" \n", "the file is empty"), (b"{", "not valid JSON"), (b'"\xff"', "not text in")):
        path.write_bytes(data)
        with pytest.raises(JsonError, match=reason):
            load_json(path)
