"""What the alarm says of a run: too few films, nothing unusual, or which films are strange."""

import json
import shutil
from itertools import permutations

import numpy as np
import pytest
import tiny_alarm
from sharded import infer, merged
from specimens import example_manifest
from tiny_alarm import KNOWN, STRANGE, example_alarm, rows

from xray_infer.classifier import Classifier
from xray_infer.outputs.page import sections
from xray_infer.run import alarm
from xray_infer.run.alarm import FEW, FOLDER, MOST_FOLDERS, STATION, UNKNOWN, USUAL, RunFilms, judge

REFERENCE = example_alarm()
UNLIKE = (
    "unlike those of the training hospitals; on hospitals left out in training this model was right on 57 % "
    "(50 to 63)."
)


def seen(*films) -> RunFilms:
    found = RunFilms()
    for row in films:
        found.add(row)
    return found


@pytest.fixture(scope="session")
def alarm_onnx(make_tiny_onnx):
    """The tiny model with a reference."""
    return make_tiny_onnx(example_manifest(alarm=REFERENCE.to_record()))


@pytest.fixture
def two_wards(tmp_path):
    """Forty films like those of the known hospital, and forty brighter ones in a folder of their own."""
    tiny_alarm.plant(tmp_path / "films" / "ward a", 40)
    tiny_alarm.plant(tmp_path / "films" / "ward b", 40, gray=STRANGE)
    return tmp_path / "films"


def test_fewer_than_thirty_films_are_too_few():
    verdict = judge(seen(*rows("", 29, gray=STRANGE)), REFERENCE)
    assert verdict.status == FEW
    assert verdict.sentence == (
        "Too few films to compare with those that the model learned from: 29 were judged, 30 are needed."
    )


def test_known_films_are_nothing_unusual():
    verdict = judge(seen(*rows("", 30)), REFERENCE)
    assert (verdict.status, verdict.strange) == (USUAL, ())
    assert verdict.sentence == (
        "Nothing unusual was found: together, the 30 judged films are like those that the model learned from."
    )


def test_strange_films_are_said_to_be_so():
    verdict = judge(seen(*rows("", 30, gray=STRANGE)), REFERENCE)
    assert verdict.sentence == f"These films are {UNLIKE}"
    assert verdict.strangeness > verdict.limit


def test_one_strange_folder_among_ten_is_named():
    films = [row for ward in range(9) for row in rows(f"ward {ward}/", 40, seed=ward)]
    verdict = judge(seen(*films, *rows("ward 9/", 40, gray=STRANGE)), REFERENCE)
    assert [(one.kind, one.name, one.films) for one in verdict.strange] == [(FOLDER, "ward 9", 40)]
    assert verdict.sentence == f"The films of folder ward 9 (40) are {UNLIKE}"


def test_one_strange_station_among_ten_is_named_in_a_flat_folder():
    films = [row for number in range(9) for row in rows("", 40, station=f"ROOM {number}", seed=number)]
    verdict = judge(seen(*films, *rows("", 40, gray=STRANGE, station="ROOM 9")), REFERENCE)
    assert [(one.kind, one.name) for one in verdict.strange] == [(STATION, "ROOM 9")]
    assert verdict.sentence.startswith("The films of station ROOM 9 (40) are unlike")


def test_a_folder_is_named_where_all_in_it_are_strange_and_its_parts_where_not():
    half = [*rows("a/x/", 40), *rows("a/y/", 40, gray=STRANGE), *rows("b/", 400)]
    assert [one.name for one in judge(seen(*half), REFERENCE).strange] == ["a/y"]
    both = [*rows("a/x/", 40, gray=STRANGE), *rows("a/y/", 40, gray=STRANGE), *rows("b/", 400)]
    assert [one.name for one in judge(seen(*both), REFERENCE).strange] == ["a"]


def test_where_all_folders_are_strange_none_is_named():
    films = [*rows("a/", 40, gray=STRANGE), *rows("b/", 40, gray=STRANGE)]
    assert judge(seen(*films), REFERENCE).sentence.startswith("These films are unlike")


def test_more_folders_than_a_sentence_holds_are_counted():
    films = [row for ward in range(5) for row in rows(f"w{ward}/", 40, gray=STRANGE)]
    verdict = judge(seen(*films, *rows("k/", 40)), REFERENCE)
    assert verdict.sentence.startswith(
        "The films of folder w0 (40), of folder w1 (40), of folder w2 (40) and of 2 more that the record"
    )
    assert len(verdict.to_json()["strange"]) == 5


def test_a_name_cannot_disturb_a_terminal_or_the_page():
    films = [*rows("bad\x1b[31m\n<b>/", 40, gray=STRANGE), *rows("k/", 40)]
    verdict = judge(seen(*films), REFERENCE)
    assert "of folder bad [31m <b> (40)" in verdict.sentence
    html = sections.alarm({"alarm": verdict.to_json()})
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_many_known_folders_raise_no_alarm():
    """A hundred looks at the rate of one would find one strange: the rate is divided by their number."""
    raised = 0
    for seed in range(20):
        films = [row for ward in range(50) for row in rows(f"{ward}/", 30, seed=100 * seed + ward)]
        raised += judge(seen(*films), REFERENCE).status != USUAL
    assert raised <= 2


def test_memory_is_bounded_and_does_not_depend_on_the_order():
    films = [row for p in range(MOST_FOLDERS) for row in rows(f"site {p % 3}/{p}/study/", 2, seed=p)]
    films += rows("site 3/deep/", 40, gray=STRANGE)
    parts = [films[:90], films[90:300], films[300:]]
    states = []
    for order in permutations(parts):
        found = seen(*(row for part in order for row in part))
        assert len(found.folders) <= MOST_FOLDERS
        states.append({**found.state(), "folders": dict(sorted(found.state()["folders"].items()))})
        joined = RunFilms()
        for part in order:
            joined.join(json.loads(json.dumps(seen(*part).state())))
        assert joined.state()["whole"] == found.state()["whole"]
        assert dict(sorted(joined.state()["folders"].items())) == states[-1]["folders"]
    assert all(state == states[0] for state in states)
    assert [one.name for one in judge(seen(*films), REFERENCE).strange] == ["site 3"]


def test_stations_are_bounded():
    films = [row for number in range(300) for row in rows("", 1, station=f"S{number}")]
    found = seen(*films)
    assert len(found.stations) == alarm.MOST_STATIONS
    for order in (films[::-1], films[100:] + films[:100]):
        assert dict(sorted(seen(*order).stations.items())) == dict(sorted(found.stations.items()))
        joined = RunFilms()
        for part in (order[:150], order[150:]):
            joined.join(json.loads(json.dumps(seen(*part).state())))
        assert dict(sorted(joined.stations.items())) == dict(sorted(found.stations.items()))


def test_films_without_an_answer_do_not_count():
    judged = rows("", 40)
    found = seen(*(type(row)(row.path, "rejected", "", "", "", position=row.position) for row in judged))
    assert found.whole.count == 0


def test_without_a_reference_nothing_is_said():
    verdict = judge(seen(*rows("", 40)), None)
    assert (verdict.status, verdict.sentence) == (UNKNOWN, "")
    assert verdict.to_json() == {"status": UNKNOWN, "sentence": alarm.NO_REFERENCE}


def test_the_command_says_it_and_the_record_and_the_page_have_it(two_wards, alarm_onnx, tmp_path):
    out, page = tmp_path / "r.csv", tmp_path / "r.html"
    result = infer(two_wards, "--model", alarm_onnx, "--out", out, "--report", page)
    sentence = f"The films of folder ward b (40) are {UNLIKE}"
    assert sentence in result.stderr.splitlines()
    found = json.loads((tmp_path / "r.csv.run.json").read_text())["alarm"]
    assert (found["sentence"], found["judged_films"]) == (sentence, 80)
    assert [(one["kind"], one["name"]) for one in found["strange"]] == [("folder", "ward b")]
    text = page.read_text(encoding="utf-8")
    assert f'<p class="notice"><strong>{sentence}</strong></p>' in text
    assert text.index(sentence) < text.index("What came of it")


def test_a_page_of_known_films_says_that_nothing_was_found(tmp_path, alarm_onnx):
    tiny_alarm.plant(tmp_path / "films", 30)
    infer(
        tmp_path / "films",
        "--model",
        alarm_onnx,
        "--out",
        tmp_path / "r.csv",
        "--report",
        tmp_path / "r.html",
    )
    assert "<p>Nothing unusual was found" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_model_without_a_reference_says_so_in_the_record_alone(two_wards, tiny_onnx, tmp_path):
    result = infer(
        two_wards, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--report", tmp_path / "r.html"
    )
    assert "training hospitals" not in result.stderr + (tmp_path / "r.html").read_text(encoding="utf-8")
    found = json.loads((tmp_path / "r.csv.run.json").read_text())["alarm"]
    assert found == {"status": UNKNOWN, "sentence": alarm.NO_REFERENCE}


def test_standard_output_stays_rows_and_the_sentence_goes_to_people(two_wards, alarm_onnx):
    result = infer(two_wards, "--model", alarm_onnx, "--out", "-")
    assert len(result.stdout.splitlines()) == 80
    assert "The films of folder ward b (40) are unlike" in result.stderr


def test_a_resumed_run_says_what_an_undisturbed_one_does(two_wards, alarm_onnx, tmp_path, stop_after):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    infer(two_wards, "--model", alarm_onnx, "--out", one)
    stop_after(50)
    assert infer(two_wards, "--model", alarm_onnx, "--out", two).exit_code == 130
    stopped = json.loads((tmp_path / "two.csv.run.json").read_text())["alarm"]
    assert 30 <= stopped["judged_films"] < 80
    assert infer(two_wards, "--model", alarm_onnx, "--out", two).exit_code == 0
    records = [json.loads((tmp_path / f"{name}.csv.run.json").read_text()) for name in ("one", "two")]
    assert records[0]["alarm"] == records[1]["alarm"]
    assert records[1]["counts"]["reused_from_an_earlier_run"] >= 50


def test_shards_say_what_one_run_does_and_go_on(two_wards, alarm_onnx, tmp_path):
    one, shards = tmp_path / "one.csv", tmp_path / "s"
    infer(two_wards, "--model", alarm_onnx, "--out", one)
    wanted = json.loads((tmp_path / "one.csv.run.json").read_text())["alarm"]
    options = ("--model", alarm_onnx, "--out", f"{shards}/", "--shard-size", 16)
    assert wanted["sentence"] in infer(two_wards, *options).stderr
    assert json.loads((shards / "run.json").read_text())["alarm"] == wanted
    shutil.rmtree(shards / "counts")  # one that is made again beside others that are not
    assert infer(two_wards, *options).exit_code == 0
    assert json.loads((shards / "run.json").read_text())["alarm"] == wanted
    merged(shards, tmp_path / "all.csv")
    assert json.loads((tmp_path / "all.csv.run.json").read_text())["alarm"] == wanted


def test_parquet_has_it_in_its_metadata(two_wards, alarm_onnx, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for out in (tmp_path / "one.parquet", tmp_path / "all.parquet"):
        if out.stem == "one":
            infer(two_wards, "--model", alarm_onnx, "--out", out)
        else:
            infer(two_wards, "--model", alarm_onnx, "--out", f"{tmp_path}/s/", "--shard-size", 16)
            merged(tmp_path / "s", out)
        kept = json.loads(parquet.read_metadata(out).metadata[b"xray_infer.alarm"])
        assert kept["strange"][0]["name"] == "ward b"


def test_the_python_interface_gives_it_as_a_value(two_wards, alarm_onnx):
    paths = sorted(two_wards.rglob("*.png"))
    with Classifier(alarm_onnx) as classifier:
        verdict = classifier.alarm(classifier.predict_many(paths))
        assert verdict.films == 80
        assert [one.name.rpartition("/")[2] for one in verdict.strange] == ["ward b"]
        assert classifier.alarm([]).status == FEW


def test_the_features_of_a_reference_are_those_of_the_file(make_tiny_onnx, two_wards, tmp_path):
    from dataclasses import replace

    longer = replace(REFERENCE, basis=np.ones((2, 1), np.int8))
    model = make_tiny_onnx(example_manifest(alarm=longer.to_record()))
    result = infer(two_wards, "--model", model, "--out", tmp_path / "r.csv")
    assert result.exit_code == 2
    assert "of features of another length; export it again" in result.stderr


def test_a_known_folder_of_the_tiny_model_is_known(alarm_onnx, tmp_path):
    tiny_alarm.plant(tmp_path / "films", 60, gray=KNOWN)
    with Classifier(alarm_onnx) as classifier:
        found = classifier.alarm(classifier.predict_many(sorted((tmp_path / "films").iterdir())))
    assert found.status == USUAL
