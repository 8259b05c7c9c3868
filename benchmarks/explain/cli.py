"""The command `xray-bench explain`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import debug_option, one_line_errors, say


@click.command("explain", epilog=RESEARCH_NOTICE)
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
            from xray_infer.benchmarks.explain.explaining import ExplainRequest, explain

        request = ExplainRequest(find_model(model), data, out or Path(scratch), **options)
        click.echo(explain(request, report=say))
        click.echo(f"\n{describe_machine()} {RESEARCH_NOTICE}")
