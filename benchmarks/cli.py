"""The command `xray-bench`."""

from __future__ import annotations

import os

import click

from xray_infer import __version__
from xray_infer.benchmarks import run_commands
from xray_infer.benchmarks.comparison.cli import compare_command
from xray_infer.benchmarks.explain.cli import explain_command
from xray_infer.benchmarks.peers.command import peers_command
from xray_infer.benchmarks.reporting.cli import report_command
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import DefaultGroup


@click.group(
    cls=DefaultGroup,
    default_command="run",
    epilog=RESEARCH_NOTICE,
    context_settings={"auto_envvar_prefix": "XRAY_BENCH", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
def main() -> None:
    """Measure models: `xray-bench --data DATA --out DIR` is short for `xray-bench run ...`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


OWN = (compare_command, report_command, peers_command, explain_command)
for command in (*run_commands.COMMANDS, *OWN):
    main.add_command(command)
