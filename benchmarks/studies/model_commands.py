"""`xray-bench`: the commands that measure models and how they were made."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import ModelError
from xray_infer.terminal import debug_option, one_line_errors, say


@click.command("graphs")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="After one warm-up.")
@debug_option
def graphs_command(model: Path, rounds: int, debug: bool) -> None:
    """Time what each step of the export gives: MODEL, a .keras file, as ONNX graphs that differ by a step."""
    with one_line_errors("xray-bench", debug=debug):
        from xray_infer.export.toolchain import load_toolchain

        load_toolchain()
        from benchmarks.studies.graphs import compare_graphs, graphs_table, macs, variants
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.export.edge_graph import load_classifier, take_apart

        found = take_apart(load_classifier(model), path=model)
        graphs = variants(found.pixels, found.network)
        gmac = macs(graphs["float32: as in Keras"]) / 1e9
        speeds, limits = compare_graphs(graphs, rounds=rounds, report=say)
        click.echo(graphs_table(speeds, limits, gmac=gmac))
        click.echo(f"\n{rounds} interleaved rounds. {describe_machine()}")


@click.command("rounding")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Data set that MODEL was trained on."
)
@click.option("--images", type=click.IntRange(1), default=400, show_default=True, help="To measure on.")
@click.option("--calibration-images", type=click.IntRange(1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the images.")
@debug_option
def rounding_command(
    model: Path, data: Path, images: int, calibration_images: int, seed: int, debug: bool
) -> None:
    """Measure what each step before int8 keeps: MODEL, a .keras file, on DATA's validation images."""
    with one_line_errors("xray-bench", debug=debug):
        from xray_infer.export.toolchain import load_toolchain

        load_toolchain()
        from benchmarks.studies.rounding import compare_steps, steps_table
        from xray_infer.export.calibration import CALIBRATION_SPLIT, CHOICE_SPLIT, check_same_data, draw
        from xray_infer.export.edge_graph import load_classifier, take_apart
        from xray_infer.export.exporter import read_training_record
        from xray_infer.study.datasets import read_dataset

        training, dataset = read_training_record(model), read_dataset(data)
        check_same_data(dataset, training, data=data, model=model)
        calibration = draw(dataset, CALIBRATION_SPLIT, count=calibration_images, seed=seed)
        measured = draw(dataset, CHOICE_SPLIT, count=images, seed=seed)
        network = take_apart(load_classifier(model), path=model, temperature=training.temperature).network
        click.echo(steps_table(compare_steps(network, calibration, measured, report=say)))
        click.echo(
            f"\n{len(measured)} validation images; ranges by {len(calibration)} training images. "
            f"{RESEARCH_NOTICE}"
        )


@click.command("rejection")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set of MODEL.")
@click.option("--runtime", help="By name.  [default: the format's first]")
@click.option(
    "--strange", multiple=True, metavar="NAME=FOLDER", help="Images that are no frontal chest X-rays."
)
@click.option(
    "--without", multiple=True, metavar="SOURCE,...", help="Fit again without these sources, and try them."
)
@click.option("--count", type=click.IntRange(1), default=200, show_default=True, help="Of each drawn kind.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn or altered.")
@debug_option
def rejection_command(
    model: Path, data: Path, runtime: str | None, strange: tuple[str, ...], debug: bool, **options: Any
) -> None:
    """Measure whom MODEL's ood_score rejects: DATA's images, drawn and altered pictures, your folders.

    Noise, blanks, text, screens, CT slices, hands and lateral chests are drawn; test images are rotated, cut
    and so on. --without may be given several times.
    """
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.rejection import Scorers, leave_out, measure, named_folders, table
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.export.calibration import check_same_data
        from xray_infer.model.runtimes import find_model
        from xray_infer.study.datasets import read_dataset

        file, dataset, folders = find_model(model), read_dataset(data), named_folders(strange)
        scorers = Scorers(file, runtime=runtime)
        manifest = scorers.manifest
        check_same_data(dataset, manifest.training, data=data, model=model)
        if manifest.rejection is None:
            raise ModelError(f"{model}: does not say how its threshold was set; export the model again")
        asked = manifest.rejection.false_rejection
        sets = []
        for one in measure(scorers, dataset, folders, count=options["count"], seed=options["seed"]):
            say(f"{one.name}: {len(one.scores)} images")
            sets.append(one)
        click.echo(table(sets, manifest.ood_threshold))
        groups = [frozenset(one.split(",")) for one in options["without"]]
        if groups:
            click.echo("\n" + leave_out(file, dataset, groups, false_rejection=asked, report=say))
        click.echo(
            f"\nThreshold {manifest.ood_threshold:.3f}, set on validation images for {asked:.3g}; in "
            f"{scorers.runtime}. {describe_machine()} {RESEARCH_NOTICE}"
        )


@click.command("maps")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set of FILES.")
@click.option(
    "--keras",
    "keras_model",
    type=click.Path(path_type=Path),
    help="The .keras file.  [default: its answers beside FILES]",
)
@click.option("--images", type=click.IntRange(1), help="Take so many test images.  [default: all]")
@debug_option
def maps_command(
    files: tuple[Path, ...], data: Path, keras_model: Path | None, images: int | None, debug: bool
) -> None:
    """Hold the Grad-CAM of FILES, all exported from one Keras model, against that model's.

    With --keras, by tf.GradientTape on that model; without, by its answers, which xray-export wrote beside
    FILES.
    """
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.map_parity import compare_files, low_table, parity_table
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.export.calibration import draw
        from xray_infer.model.runtimes import find_model
        from xray_infer.study.datasets import read_dataset

        models = [find_model(path) for path in files]
        chosen = draw(read_dataset(data), "test", count=images or sys.maxsize, seed=0).images
        rows = list(compare_files(models, chosen, keras_model=keras_model, report=say))
        click.echo("\n\n".join(part for part in (parity_table(rows), low_table(rows)) if part))
        click.echo(f"\nMaps over their maxima, all classes. {describe_machine()} {RESEARCH_NOTICE}")


@click.command("explain")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set of MODEL.")
@click.option("--split", type=click.Choice(["test", "val"]), default="test", show_default=True)
@click.option("--images", type=click.IntRange(1), help="Take so many, the classes in turn.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws images, random maps, weights.")
@click.option("--runtime", help="By name.  [default: the format's first]")
@click.option(
    "--methods",
    help="Heat maps, with commas between; also occlusion:48:16:gray.  [default: all that are offered]",
)
@click.option(
    "--sanity-images", type=click.IntRange(0), default=30, show_default=True, help="With shuffled weights."
)
@click.option(
    "--lung-masks", type=click.Path(path_type=Path), help="Folder of an IMAGE.png each, white on black."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the measurements; goes on from there."
)
@debug_option
def explain_command(model: Path, data: Path, out: Path | None, debug: bool, **options: Any) -> None:
    """Measure how faithful heat maps are to MODEL, beside a centre blob and random maps.

    Deletion, insertion and ROAD, on DATA's images, for the class that MODEL calls them; sanity checks with
    shuffled weights; where the heat is; what a map costs.
    """
    with one_line_errors("xray-bench", debug=debug), tempfile.TemporaryDirectory() as scratch:
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.errors import extra_for
        from xray_infer.model.runtimes import find_model

        with extra_for("xray-bench explain", "export"):
            from xray_infer.benchmarks.explain.command import Request, explain

        request = Request(find_model(model), data, out or Path(scratch), **options)
        click.echo(explain(request, report=say))
        click.echo(f"\n{describe_machine()} {RESEARCH_NOTICE}")


@click.command("training")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--weights", default="imagenet", show_default=True, help="Backbone, as for xray-train.")
@click.option("--images", type=click.IntRange(30), help="Take so many images of DATA.  [default: all]")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="Of all ways in turn.")
@click.option("--xla-only", is_flag=True, help="Leave out plain Keras without XLA.")
@debug_option
def training_command(
    data: Path, weights: str, images: int | None, rounds: int, xla_only: bool, debug: bool
) -> None:
    """Time xray-train beside plain Keras on DATA, which has a split: the study's schedule, both methods."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.training import compare_training, part_of, training_table
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.study.datasets import read_dataset

        dataset = part_of(read_dataset(data), images)
        runs = compare_training(dataset, weights, rounds=rounds, xla_only=xla_only, report=say)
        click.echo(training_table(runs))
        sizes = " / ".join(str(len(dataset.split(split))) for split in ("train", "val", "test"))
        click.echo(f"\n{sizes} images, {rounds} interleaved rounds. {describe_machine()}")


COMMANDS: Final = (
    graphs_command,
    rounding_command,
    rejection_command,
    maps_command,
    explain_command,
    training_command,
)
