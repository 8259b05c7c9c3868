"""Names of files beside the rows: never two alike, and never outside of their folder."""

import os
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from xray_infer.outputs.naming import file_for

FOLDER = Path("/maps")
SUFFIX = ".heatmap.png"

# What a POSIX file system, an archive or a list may hold: any text; bytes that are not UTF-8 as surrogates.
LETTERS = st.characters(exclude_categories=["Cs"])
PARTS = st.one_of(
    st.text(LETTERS),
    st.sampled_from(["", ".", "..", "...", "%2E", "%2F", "%", "~", "a", "a.png", "con", "C:", "é", "\udce9"]),
    st.binary(max_size=8).map(lambda data: data.decode("utf-8", "surrogateescape").replace("/", "")),
    st.integers(150, 300).map(lambda count: "x" * count),
    st.integers(60, 90).map(lambda count: "é🩻" * count),
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two names; often the second is what the first is turned into, or nearly the same."""
    name = draw(NAMES)
    made = str(file_for(FOLDER, name, "").relative_to(FOLDER))
    shortened = str(file_for(FOLDER, name, SUFFIX).relative_to(FOLDER)).removesuffix(SUFFIX)
    changes = [name + "x", name + "/", "/" + name, name.replace("/", "//"), name[:-1], made, shortened]
    return name, draw(st.one_of(NAMES, st.sampled_from(changes)))


@given(pairs())
@example(("x" * 300, file_for(FOLDER, "x" * 300, SUFFIX).name.removesuffix(SUFFIX)))
@example(("", "%2F"))
@example(("a//b", "a/%2F/b"))
def test_two_names_give_two_files(names):
    first, second = names
    if first != second:
        assert file_for(FOLDER, first, SUFFIX) != file_for(FOLDER, second, SUFFIX)


@given(NAMES)
@example("../../etc/passwd")
@example("/etc/passwd")
@example("s3://bucket/a.png")
@example("C:\\windows\\a.png")
def test_a_file_stays_inside_its_folder(name):
    path = file_for(FOLDER, name, SUFFIX)
    inside = path.relative_to(FOLDER).parts
    assert path == Path(os.path.normpath(path))
    assert len(inside) == name.count("/") + 1  # a sub-folder for each of the name's
    assert path.name.endswith(SUFFIX)
    for part in inside:
        assert part not in ("", ".", "..")
        assert len(os.fsencode(part)) <= 255
        assert not set(part) & set('\\:*?"<>|')
        assert not any(letter < " " for letter in part)


@given(NAMES)
def test_a_name_gives_the_same_file_each_time(name):
    assert file_for(FOLDER, name, SUFFIX) == file_for(FOLDER, name, SUFFIX)
