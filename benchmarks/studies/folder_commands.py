"""`xray-bench`: the commands that measure the folder command and its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import debug_option, one_line_errors, say


@click.command("isolation")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="After one warm-up.")
@click.option(
    "--threads", type=click.IntRange(1), default=2, show_default=True, help="Each with its own child."
)
@debug_option
def isolation_command(folder: Path, rounds: int, threads: int, debug: bool) -> None:
    """Time decoding the images of FOLDER in child processes, as --isolate does, beside doing it directly."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.isolation import isolation_table, measure_isolation, readable_files
        from xray_infer.benchmarks.machine import describe_machine

        files = readable_files(folder)
        click.echo(isolation_table(measure_isolation(files, rounds=rounds, threads=threads, report=say)))
        click.echo(
            f"\n{len(files)} files in memory, {threads} threads, {rounds} interleaved rounds. "
            f"{describe_machine()}"
        )


@click.command("pipeline")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--images", type=click.IntRange(1), default=352, show_default=True, help="Links to FOLDER's.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="After one warm-up.")
@debug_option
def pipeline_command(folder: Path, images: int, rounds: int, debug: bool) -> None:
    """Time the folder command on FOLDER's images beside decoding alone and inference alone."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.pipeline import bound, compare_parts, parts_table, planted
        from xray_infer.benchmarks.machine import describe_machine

        with planted(folder, images) as many:
            speeds = compare_parts(many, rounds=rounds, report=say)
        click.echo(parts_table(speeds))
        click.echo(f"\n{bound(speeds)}\n{images} images, {rounds} interleaved rounds. {describe_machine()}")


@click.command("heatmap")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--images", type=click.IntRange(1), default=88, show_default=True, help="Links to FOLDER's.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="After one warm-up.")
@debug_option
def heatmap_command(folder: Path, images: int, rounds: int, debug: bool) -> None:
    """Time what --heatmap adds on FOLDER's images: to the forward pass, in drawing, to the command."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.heatmap import (
            compare_commands,
            compare_passes,
            measure_stages,
            passes_table,
            stages_table,
        )
        from benchmarks.studies.pipeline import parts_table, planted
        from xray_infer.benchmarks.machine import describe_machine

        with planted(folder, images) as many:
            passes = compare_passes(rounds, say)
            stages = measure_stages(many, rounds=rounds, report=say)
            speeds = compare_commands(many, rounds=rounds, report=say)
        click.echo("\n\n".join([passes_table(passes), stages_table(stages), parts_table(speeds)]))
        click.echo(
            f"\nWithout maps: the same file, its last feature map averaged before the head. {images} images, "
            f"{rounds} interleaved rounds. {describe_machine()} {RESEARCH_NOTICE}"
        )


@click.command("memory")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--images", "counts", type=click.IntRange(1), multiple=True, default=(1000, 10000), show_default=True
)
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--with", "beside", multiple=True, type=click.Choice(["heatmap", "report"]), help="Made beside the rows."
)
@debug_option
def memory_command(
    folder: Path, counts: tuple[int, ...], rounds: int, beside: tuple[str, ...], debug: bool
) -> None:
    """Measure the folder command's peak memory over few and many images: links to those of FOLDER."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.footprint import measure_memory, memory_table
        from xray_infer.benchmarks.machine import describe_machine

        runs = measure_memory(folder, counts, beside=beside, rounds=rounds, report=say)
        click.echo(memory_table(runs))
        click.echo(f"\n{rounds} rounds. {describe_machine()}")


@click.command("startup")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True, help="After one warm-up.")
@debug_option
def startup_command(image: Path, rounds: int, debug: bool) -> None:
    """Time the command's help and one IMAGE beside the imports that it needs, as whole processes."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.footprint import measure_startup, startup_table
        from xray_infer.benchmarks.machine import describe_machine

        click.echo(startup_table(measure_startup(image, rounds=rounds, report=say)))
        click.echo(f"\n{rounds} interleaved rounds. {describe_machine()}")


@click.command("reduced")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="Model file.  [default: the one that ships]")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Of both ways in turn.")
@debug_option
def reduced_command(folder: Path, model: Path | None, rounds: int, debug: bool) -> None:
    """Measure what decoding JPEGs at a smaller scale costs in answers and gives in time, on FOLDER's."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.reduced import compare_reductions, read_jpegs, reductions_table
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.model.runtimes import find_model
        from xray_infer.model.shipped import shipped_model
        from xray_infer.run.sources.folder import local_source

        session = (find_model(model) if model else shipped_model("onnx")).open()
        jpegs = read_jpegs(local_source(folder), report=say)
        click.echo(reductions_table(compare_reductions(jpegs, session, rounds=rounds)))
        ran = f"{session.manifest.method}, {session.manifest.recipe}, {session.runtime}"
        click.echo(
            f"\n{ran}; {rounds} interleaved rounds, the shortest of each, medians over the files. "
            f"Times are from bytes to the model's input. {describe_machine()}"
        )


COMMANDS: Final = (
    isolation_command,
    pipeline_command,
    heatmap_command,
    memory_command,
    startup_command,
    reduced_command,
)
