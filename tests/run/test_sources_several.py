"""Several sources that were named together."""

import zipfile
from pathlib import Path

import pytest

from xray_infer.errors import ReadError, SourceError
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.run.sources.several import SeveralSources, open_sources


def test_one_alone_is_itself(folder):
    source = open_sources([str(folder)], limits=DEFAULT_LIMITS)
    assert not isinstance(source, SeveralSources)
    assert next(iter(source)).name == "film0.png"


def test_each_in_turn_under_names_that_tell_them_apart(folder, tmp_path):
    archive = tmp_path / "scans.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        writer.write(folder / "film0.png", "film0.png")
    alone = tmp_path / "alone.png"
    alone.write_bytes((folder / "film2.png").read_bytes())
    given = [str(alone), f"{folder}/", str(archive)]
    source = open_sources(given, limits=DEFAULT_LIMITS)
    names = [item.name for item in source]
    inside = ["film0.png", "film1.png", "film2.png", *(f"ward b/film{number}.jpg" for number in range(3))]
    assert names == [given[0], *(f"{folder}/{name}" for name in inside), f"{archive}/film0.png"]
    assert len(set(names)) == len(names) == source.count()
    assert source.skipped == 2
    first, *_, last = source
    assert first.read(DEFAULT_LIMITS) == (folder / "film2.png").read_bytes()
    assert last.read(DEFAULT_LIMITS) == (folder / "film0.png").read_bytes()
    assert first.stamp()
    assert source.location.splitlines() == [str(Path(one)) for one in given]


def test_one_that_cannot_be_had_is_an_item_and_costs_the_others_nothing(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    gone = tmp_path / "gone.png"
    items = list(open_sources([str(gone), str(empty), str(folder / "film0.png")], limits=DEFAULT_LIMITS))
    assert [item.name for item in items] == [str(gone), str(empty), str(folder / "film0.png")]
    for item, reason in zip(items, ("No such file", "no images in this folder"), strict=False):
        with pytest.raises(ReadError, match=f"^{reason}"):
            item.read(DEFAULT_LIMITS)
    with pytest.raises(SourceError, match="No such file"):
        open_sources([str(gone)], limits=DEFAULT_LIMITS)
