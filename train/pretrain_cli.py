"""The command `xray-train pretrain`: a backbone from photographs, by their labels or by a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xray_infer.errors import extra_for
from xray_infer.terminal import debug_option, one_line_errors, say

# By labels, and by a teacher.
DEFAULTS = {
    "epochs": (20, 40),
    "small_epochs": (8, 0),
    "side": (96, 96),
    "batch_size": (64, 32),
    "rate": (2e-3, 3e-4),
}


def _default(name: str) -> str:
    labels, teacher = DEFAULTS[name]
    return (
        f"[default: {labels:g}]"
        if labels == teacher
        else f"[default: {labels:g}, with --teacher {teacher:g}]"
    )


@click.command("pretrain")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@click.option(
    "--start", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Backbone to go on from."
)
@click.option(
    "--teacher",
    type=click.Choice(["lite0", "lite1", "lite2"]),
    help="Learn from this EfficientNet-lite with ImageNet weights instead of from labels.",
)
@click.option(
    "--films",
    type=click.Path(path_type=Path, exists=True),
    help="Manifest or folder of X-rays that the teacher labels as well; their own labels are not used.",
)
@click.option("--epochs", type=click.IntRange(1), help=f"Number of epochs.  {_default('epochs')}")
@click.option(
    "--small-epochs",
    type=click.IntRange(0),
    help=f"How many of them at 64 px, first.  {_default('small_epochs')}",
)
@click.option("--side", type=click.IntRange(32), help=f"Pixels in the other epochs.  {_default('side')}")
@click.option("--batch-size", type=click.IntRange(2), help=f"Pictures a step.  {_default('batch_size')}")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help=f"Highest learning rate.  {_default('rate')}"
)
@click.option("--seed", default=0, show_default=True, help="Of weights, shuffling and augmentation.")
@debug_option
def pretrain_command(
    archive: Path,
    out: Path,
    start: Path | None,
    teacher: str | None,
    films: Path | None,
    debug: bool,
    **options: Any,
) -> None:
    """Train a DenseNet121 backbone on a zip of photographs, where ImageNet weights can't be had.

    ARCHIVE holds train|val/<class>/<image>. An epoch is one pass over it, or with --teacher 2048 pictures.
    Uses a GPU if PyTorch sees one. The same command again goes on after the last finished epoch.
    RUN/backbone.keras is what `--weights` takes.
    """
    if films is not None and teacher is None:
        raise click.UsageError("--films needs --teacher: films teach nothing without one")
    chosen = 0 if teacher is None else 1
    values: dict[str, Any] = {name: defaults[chosen] for name, defaults in DEFAULTS.items()}
    values |= {name: value for name, value in options.items() if value is not None}
    rate = values.pop("rate")
    with one_line_errors("xray-train", debug=debug), extra_for("pre-training", "pretrain"):
        if teacher is None:
            from xray_infer.train.backbone.pretrain import PretrainConfig, pretrain

            config = PretrainConfig(peak_learning_rate=rate, **values)
            pretrain(archive, out, config, start=start, report=say)
        else:
            from xray_infer.train.backbone.distill import distill
            from xray_infer.train.backbone.distill_config import DistillConfig

            distillation = DistillConfig(teacher=teacher, learning_rate=rate, **values)
            distill(archive, out, distillation, films=films, start=start, report=say)
