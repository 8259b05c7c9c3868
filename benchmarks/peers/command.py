"""The command `xray-bench peers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xray_infer.benchmarks.run_commands import MODELS_OPTION, OUT, measure_pieces
from xray_infer.terminal import debug_option, one_line_errors


@click.command("peers")
@click.argument("folder", type=click.Path(path_type=Path))
@MODELS_OPTION
@click.option("--out", required=True, type=click.Path(path_type=Path), help=OUT)
@click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True, help="After one that warms up."
)
@debug_option
def peers_command(debug: bool, **options: Any) -> None:
    """Compare the command with other ways to classify FOLDER: Keras, PyTorch, OpenVINO and plain loops."""
    with one_line_errors("xray-bench", debug=debug):
        measure_pieces(("peers",), options)
