"""The study of learning curves, on made films of two hospitals."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("onnx")

from adapt_films import film, texture_model
from click.testing import CliRunner
from specimens import png

from benchmarks.studies.adapting import splits as splitting
from benchmarks.studies.adapting.__main__ import main
from benchmarks.studies.adapting.curve_tables import tuning_text
from benchmarks.studies.adapting.splits import Hospitals, splits
from benchmarks.studies.adapting.tuning import TunedResult

PER_CLASS = 34


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two hospitals, which call the two textures by opposite names, and a third of one class."""
    root = tmp_path_factory.mktemp("data")
    with (root / "manifest.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("file", "label", "domain", "patient_id"))
        for place, domain in enumerate(("east", "west")):
            for kind in (0, 1):
                for number in range(PER_CLASS):
                    file = root / f"{domain}{kind}{number}.png"
                    file.write_bytes(png(film(kind, 100 * place + number)))
                    label = ("ill", "well")[kind ^ place]
                    table.writerow((file.name, label, domain, f"{domain}{kind}{number // 2}"))
        for number in range(PER_CLASS):
            file = root / f"north{number}.png"
            file.write_bytes(png(film(2, number)))
            table.writerow((file.name, "well", "north", ""))
    return root


@pytest.fixture
def run(data, tmp_path):
    model = texture_model(tmp_path / "model.onnx")

    def run(*arguments):
        options = ("--model", model, "--cache", tmp_path / "cache", "--out", tmp_path / "out")
        return CliRunner().invoke(main, [str(one) for one in (arguments[0], data, *options, *arguments[1:])])

    return run


def test_a_head_learns_what_the_old_one_has_wrong(run, tmp_path):
    result = run("curves", "--splits", 2)
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "out" / "curves.json").read_text())["results"]
    assert {(one["domain"], one["labels"]) for one in results} == {
        (domain, labels) for domain in ("east", "west") for labels in (5, 10)
    }
    for one in results:
        assert one["old_head"] < 0.3
        assert one["head"] > 0.7
        assert one["pixels"] < 0.8
        assert (one["told"] is None) == (one["labels"] < 10)
    text = (tmp_path / "out" / "adapting.md").read_text()
    assert "| east | 10 | 0." in text
    assert "2 of 2" in text


def test_a_patient_is_on_one_side_of_a_split():
    rng = np.random.default_rng(0)
    count = 120
    hospitals = Hospitals(
        images=(),
        features=rng.normal(size=(count, 3)).astype(np.float32),
        pixels=rng.normal(size=(count, 3)).astype(np.float32),
        labels=np.arange(count) % 2,
        groups=np.arange(count) // 3,
        domains=np.array(["one"] * count),
        classes=("a", "b"),
    )
    drawn = list(splits(hospitals, "one", 10, 5))
    assert len(drawn) == 5
    for split in drawn:
        assert np.bincount(hospitals.labels[split.labelled]).tolist() == [10, 10]
        assert not set(hospitals.groups[split.labelled]) & set(hospitals.groups[split.judge])
    assert list(splits(hospitals, "one", 50, 5)) == []  # too few are left to judge
    assert splitting.LEAST_CLASS <= 60


def test_data_without_domains_is_refused(run, data, tmp_path):
    (tmp_path / "plain.csv").write_text(f"file,label\n{data}/east00.png,a\n{data}/east10.png,b\n")
    options = ("--model", tmp_path / "model.onnx", "--cache", tmp_path / "cache")
    result = CliRunner().invoke(main, [str(one) for one in ("curves", tmp_path / "plain.csv", *options)])
    assert result.exit_code == 2
    assert "says of no film from which domain it is" in result.stderr


def test_the_table_of_fine_tuning():
    results = [TunedResult("nih", 10, seed, 200, 0.6 + seed / 10, 0.7) for seed in range(2)]
    assert "| nih | 10 | 2 | 0.650 ± 0.071 | **0.700 ± 0.000** | +0.050 |" in tuning_text(results)
