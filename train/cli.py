"""The command `xray-train`: `xray-train DATA --out RUN`, its sub-commands, and pretrain for a backbone."""

from __future__ import annotations

import os

import click

from xray_infer import __version__
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import DefaultGroup
from xray_infer.train.adapt_cli import adapt_command
from xray_infer.train.data_cli import inspect_command, split_command, yardsticks_command
from xray_infer.train.fit_cli import compare_command, evidence_command, fit_command, pretrain_command
from xray_infer.train.lungs_cli import lungs_command


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
    adapt_command,
    split_command,
    inspect_command,
    yardsticks_command,
    evidence_command,
    compare_command,
    pretrain_command,
    lungs_command,
)
for command in COMMANDS:
    main.add_command(command)
