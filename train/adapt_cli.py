"""The command `xray-train adapt`: a head for one's own films, without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_infer.errors import extra_for
from xray_infer.terminal import debug_option, one_line_errors, say
from xray_infer.train.data_cli import classes_option, pattern_option

if TYPE_CHECKING:
    from xray_infer.study.class_choice import ClassChoice

FILE = click.Path(path_type=Path)


@click.command("adapt")
@click.argument("labelled", type=FILE)
@click.option("--out", required=True, type=FILE, help="Model file to write, .onnx or .tflite.")
@click.option(
    "--model", help="Shipped model or model file whose head is replaced.  [default: feature_extraction]"
)
@classes_option
@pattern_option
@click.option(
    "--cache",
    type=FILE,
    help="Folder that keeps the films' features.  [default: OUT with the suffix .features]",
)
@click.option("--workers", type=click.IntRange(1), help="Films at a time.  [default: one a processor]")
@click.option("--force", is_flag=True, help="Write the file though its figure may mean nothing.")
@debug_option
def adapt_command(
    labelled: Path, out: Path, classes: ClassChoice | None, debug: bool, **options: Any
) -> None:
    """Fit the head of a model to your own films in LABELLED, and write a model file with it.

    LABELLED is a folder with one sub-folder per class, or a manifest CSV (columns file, label and maybe
    group_id, patient_id, source). Ten films of each class are the least, 25 where it begins to be worth it,
    all of one hospital. Any 2 to 50 classes. Needs no TensorFlow.

    What it prints is cross-validated: films of one patient are never on both sides. Read the figure beside
    that of 20x20 pixels, which show but a lung's shade. OUT.reference.npz is for `xray-export verify`.
    """
    # For such small matrices more threads cost more than they bring. Heard if NumPy is not loaded yet.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with one_line_errors("xray-train", debug=debug):
        with extra_for("fitting a head", "adapt"):
            from xray_infer.train.adapt.adapting import AdaptRequest, adapt
        request = AdaptRequest(labelled=labelled, out=out, classes=classes, **options)
        click.echo(adapt(request, report=say).report)
        say(f"wrote {out}")
