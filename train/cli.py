"""The command `xray-train`: `xray-train DATA --out RUN`, and `xray-train pretrain` for a backbone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from xray_infer import __version__
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import ModelError, extra_for
from xray_infer.terminal import DefaultGroup, one_line_errors, say


@click.group(
    cls=DefaultGroup,
    default_command="fit",
    epilog=RESEARCH_NOTICE,
    context_settings={"auto_envvar_prefix": "XRAY_TRAIN", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
def main() -> None:
    """Train chest X-ray classifiers: `xray-train DATA --out RUN` is short for `xray-train fit ...`."""
    # TensorFlow prints dozens of lines about the machine otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@main.command("fit")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@click.option("--weights", default="imagenet", show_default=True, help="Backbone: imagenet, none or a FILE.")
@click.option(
    "--epochs",
    type=(click.IntRange(1), click.IntRange(1)),
    default=(4, 4),
    show_default=True,
    help="Of the two methods.",
)
@click.option(
    "--rates",
    type=(click.FloatRange(0, min_open=True), click.FloatRange(0, min_open=True)),
    default=(1e-3, 1e-4),
    show_default=True,
    help="Adam's learning rates of the two methods.",
)
@click.option("--cosine-decay", is_flag=True, help="Let the learning rates fall to zero.")
@click.option(
    "--unfreeze",
    "unfrozen",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="DenseNet121 layers that fine-tuning trains.",
)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images a step.")
@click.option("--seed", default=0, show_default=True, help="Of split, shuffling, augmentation and head.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def fit_command(
    data: Path, out: Path, epochs: tuple[int, int], rates: tuple[float, float], debug: bool, **options: Any
) -> None:
    """Train feature extraction, then fine-tuning, on DATA.

    DATA is a folder with one sub-folder per class, or a manifest CSV (columns file, label and maybe split,
    group_id). The same command again goes on after the last finished epoch.
    """
    with one_line_errors("xray-train", debug=debug):
        weights = options["weights"]
        if weights not in ("imagenet", "none") and not Path(weights).is_file():
            raise ModelError(f"--weights {weights}: no such file; give imagenet, none or a backbone file")
        with extra_for("training", "train"):
            from xray_infer.train.fit import TrainConfig, train
        config = TrainConfig(
            feature_extraction_epochs=epochs[0],
            fine_tuning_epochs=epochs[1],
            feature_extraction_rate=rates[0],
            fine_tuning_rate=rates[1],
            **options,
        )
        click.echo(train(data, out, config, report=say))


@main.command("pretrain")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@click.option("--epochs", default=20, show_default=True, help="Passes over the photographs.")
@click.option("--small-epochs", default=8, show_default=True, help="How many of them at 64 px, first.")
@click.option("--seed", default=0, show_default=True, help="Of weights, shuffling and augmentation.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def pretrain_command(
    archive: Path, out: Path, epochs: int, small_epochs: int, seed: int, debug: bool
) -> None:
    """Train a DenseNet121 backbone on a zip of photographs, where ImageNet weights can't be had.

    ARCHIVE holds train|val/<class>/<image>. Uses a GPU if PyTorch sees one. The same command again goes on
    after the last finished epoch. RUN/backbone.keras is what `--weights` takes.
    """
    with one_line_errors("xray-train", debug=debug):
        with extra_for("pre-training", "pretrain"):
            from xray_infer.train.pretrain import PretrainConfig, pretrain
        pretrain(
            archive,
            out,
            PretrainConfig(epochs=epochs, small_epochs=small_epochs, seed=seed),
            report=say,
        )
