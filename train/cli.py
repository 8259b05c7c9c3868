"""The command `xray-train`: `xray-train DATA --out RUN`, its sub-commands, and pretrain for a backbone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from xray_infer import __version__
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import extra_for
from xray_infer.terminal import DefaultGroup, debug_option, one_line_errors, say
from xray_infer.train.data_cli import inspect_command, split_command, yardsticks_command
from xray_infer.train.fit_cli import compare_command, evidence_command, fit_command


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


COMMANDS = (
    fit_command,
    split_command,
    inspect_command,
    yardsticks_command,
    evidence_command,
    compare_command,
)
for command in COMMANDS:
    main.add_command(command)


@main.command("pretrain")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the run.")
@click.option(
    "--start", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Backbone to go on from."
)
@click.option("--epochs", default=20, show_default=True, help="Passes over the photographs.")
@click.option("--small-epochs", default=8, show_default=True, help="How many of them at 64 px, first.")
@click.option(
    "--side", type=click.IntRange(32), default=96, show_default=True, help="Pixels in the other epochs."
)
@click.option(
    "--batch-size", type=click.IntRange(2), default=64, show_default=True, help="Photographs a step."
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=2e-3, show_default=True, help="Highest rate."
)
@click.option("--seed", default=0, show_default=True, help="Of weights, shuffling and augmentation.")
@debug_option
def pretrain_command(
    archive: Path, out: Path, start: Path | None, rate: float, debug: bool, **options: Any
) -> None:
    """Train a DenseNet121 backbone on a zip of photographs, where ImageNet weights can't be had.

    ARCHIVE holds train|val/<class>/<image>. Uses a GPU if PyTorch sees one. The same command again goes on
    after the last finished epoch. RUN/backbone.keras is what `--weights` takes.
    """
    with one_line_errors("xray-train", debug=debug):
        with extra_for("pre-training", "pretrain"):
            from xray_infer.train.backbone.pretrain import PretrainConfig, pretrain
        pretrain(
            archive,
            out,
            PretrainConfig(peak_learning_rate=rate, **options),
            start=start,
            report=say,
        )
