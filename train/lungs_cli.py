"""The commands of `xray-train lungs`: mark films by Haar cascades, fit the small detector on the marks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from xray_infer.errors import extra_for
from xray_infer.terminal import debug_option, one_line_errors, say

FILE = click.Path(path_type=Path)
PACKAGES = ("numpy", "opencv-python-headless", "torch", "xray-infer")


@click.group("lungs")
def lungs_command() -> None:
    """Train the detector that finds the lungs in a film: first mark films, then fit the detector."""


@lungs_command.command("mark")
@click.argument("manifest", type=FILE)
@click.option("--out", required=True, type=FILE, help="CSV of boxes to write, one film a row.")
@debug_option
def mark_command(manifest: Path, out: Path, debug: bool) -> None:
    """Find the lungs of all films of MANIFEST with Haar cascades, slowly, and write their boxes.

    Needs an OpenCV below 5, which has the cascades' classifier, and the package lungs-finder, which has the
    cascades. About 0.1 s a film on each core.
    """
    with one_line_errors("xray-train", debug=debug):
        from xray_infer.train.lung_detector.lung_films import list_films
        from xray_infer.train.lung_detector.marking import mark, write_boxes

        write_boxes(mark(list_films(manifest), report=say), out)
        say(f"wrote {out}")


@lungs_command.command("fit")
@click.argument("manifest", type=FILE)
@click.option("--boxes", required=True, type=FILE, help="CSV that `mark` wrote of this manifest.")
@click.option("--out", required=True, type=FILE, help="Detector to write, .npz; its record beside it, .json.")
@click.option(
    "--negatives",
    multiple=True,
    type=FILE,
    help="Pictures without lungs: a folder, a zip of photographs (as for pretrain), or a CSV with a column "
    "label, of which not-frontal-chest is taken. Half of each only judges. Can be repeated.",
)
@click.option("--leave-out", metavar="DOMAIN", help="Train without this domain, and judge on it alone.")
@click.option(
    "--epochs", type=click.IntRange(1), default=60, show_default=True, help="Passes over the films."
)
@click.option("--seed", default=0, show_default=True, help="Of weights, shuffling and alterations.")
@debug_option
def fit_lungs_command(
    manifest: Path,
    boxes: Path,
    out: Path,
    negatives: tuple[Path, ...],
    leave_out: str | None,
    debug: bool,
    **options: int,
) -> None:
    """Train the lung detector on the films of MANIFEST's split train, and judge it on val and test.

    Prints the overlap with the cascades' boxes (IoU), and in how many of the pictures lungs are found.
    """
    with one_line_errors("xray-train", debug=debug), extra_for("training the lung detector", "lungs"):
        from xray_infer.atomic import write_json
        from xray_infer.host import installed_versions
        from xray_infer.train.lung_detector.box_fit import (
            LungConfig,
            figures_text,
            fit_lungs,
            read_lung_data,
            record,
        )
        from xray_infer.train.lung_detector.box_network import write_network

        config = LungConfig(epochs=options["epochs"], seed=options["seed"])
        data = read_lung_data(manifest, boxes, negatives, side=config.network.side)
        network, figures = fit_lungs(data, config, leave_out=leave_out, report=say)
        write_network(network, out)
        digest = hashlib.sha256(out.read_bytes()).hexdigest()
        found = record(data, config, figures, leave_out)
        write_json(
            out.with_suffix(".json"),
            {"sha256": digest, **found, "versions": installed_versions(PACKAGES)},
        )
        click.echo(figures_text(figures))
        say(f"wrote {out}")
