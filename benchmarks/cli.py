"""The command `xray-bench`."""

from __future__ import annotations

import os

import click

from xray_infer import __version__
from xray_infer.benchmarks import folder_commands, model_commands
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import DefaultGroup


@click.group(
    cls=DefaultGroup,
    default_command="formats",
    epilog=RESEARCH_NOTICE,
    context_settings={"auto_envvar_prefix": "XRAY_BENCH", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
def main() -> None:
    """Measure models: `xray-bench --models ...` is short for `xray-bench formats --models ...`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


for command in (*model_commands.COMMANDS, *folder_commands.COMMANDS):
    main.add_command(command)
