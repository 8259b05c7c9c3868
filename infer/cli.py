"""The command `xray-infer`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xray_infer import __version__
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import ModelError, OutputError
from xray_infer.terminal import one_line_errors, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from xray_infer.engine import OnClassified
    from xray_infer.results import Row
    from xray_infer.runtimes import Model
    from xray_infer.sources import Item
    from xray_infer.writers import CsvWriter

EXIT_SOME_FAILED = 1
AUTO = "auto"
RUNTIME_CHOICES = ("onnxruntime", "litert", "openvino", AUTO)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, as given; None where a default depends on something else."""

    source: Path
    out: Path | None
    format: str | None
    runtime: str | None
    model: Path | None
    heatmap: Path | None
    workers: int | None
    batch_size: int


@click.command(
    epilog=f"Exit status: 0 all read, 1 some inputs failed, 2 usage. {RESEARCH_NOTICE}",
    context_settings={"auto_envvar_prefix": "XRAY_INFER", "help_option_names": ["-h", "--help"]},
)
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="CSV file for the results; a folder needs it.")
@click.option("--format", type=click.Choice(["onnx", "tflite"]), help="Default: onnx.")
@click.option(
    "--runtime",
    type=click.Choice(RUNTIME_CHOICES),
    help="Default: onnxruntime, or litert for tflite. auto: the fastest here, measured once and remembered.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file, or a name from --list-models. Default: fine_tuning.",
)
@click.option("--list-models", is_flag=True, help="List the models that ship, and stop.")
@click.option("--json", "as_json", is_flag=True, help="With --list-models: print JSON.")
@click.option("--heatmap", type=click.Path(path_type=Path), help="Folder for a Grad-CAM overlay per image.")
@click.option("--workers", type=click.IntRange(1, 256), help="Default: one per processor.")
@click.option("--batch-size", type=click.IntRange(1, 64), default=1, show_default=True, help="Images a pass.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__)
def main(
    source: Path | None,
    list_models: bool,
    as_json: bool,
    debug: bool,
    **options: object,
) -> None:
    """Classify chest X-rays as covid, pneumonia or normal.

    SOURCE is a folder, searched with its sub-folders, or one image file. Every image gets a row in the
    results, also when it cannot be read.
    """
    if list_models == (source is not None):
        raise click.UsageError("give a SOURCE, or --list-models", click.get_current_context())
    if as_json and not list_models:
        raise click.UsageError("--json goes with --list-models", click.get_current_context())
    with one_line_errors("xray-infer", debug=debug):
        if source is None:
            click.echo(_shipped_models(as_json=as_json))
            return
        sys.exit(run(Options(source=source, **options)))  # type: ignore[arg-type]  # click made these types


def run(options: Options) -> int:
    """Classify the source and return the exit status. Raises XrayError for what the user must mend."""
    import cv2

    from xray_infer.engine import classify, default_workers
    from xray_infer.results import OK, Summary, probability_table
    from xray_infer.sources.folder import local_source
    from xray_infer.writers import open_writer

    is_folder = options.source.is_dir()
    if is_folder and options.out is None:
        raise OutputError("a folder needs a file for its results: add --out results.csv")
    source = local_source(options.source)
    items = list(source)
    cv2.setNumThreads(1)  # the workers are the parallelism
    workers = options.workers or default_workers()
    model, runtime = _choose_model(options, workers=workers)
    rows = classify(
        items,
        model,
        workers=min(workers, len(items)),
        batch_size=options.batch_size,
        runtime=runtime,
        on_classified=_overlay_writer(options.heatmap),
    )
    summary = Summary()
    started = time.monotonic()
    with (
        open_writer(options.out) if options.out else nullcontext() as writer,
        _progress(rows, len(items)) if sys.stderr.isatty() and is_folder else nullcontext(rows) as shown,
        _say_where_rows_are(writer),
    ):
        for row in shown:
            if writer:
                writer.write(row)
            summary.add(row)
            if not is_folder:
                click.echo(probability_table(row) if row.status == OK else f"{row.path}: {row.reason}")
    if is_folder:
        if source.skipped:
            say(f"{source.skipped} other files were skipped")
        for line in summary.lines(seconds=time.monotonic() - started):
            say(line)
        say(f"results: {options.out}")
    return EXIT_SOME_FAILED if summary.failed else 0


@contextmanager
def _say_where_rows_are(writer: CsvWriter | None) -> Iterator[None]:
    """On Ctrl-C, tell where the rows so far are."""
    try:
        yield
    except KeyboardInterrupt:
        if writer:
            say(f"the rows so far are in {writer.partial}")
        raise


def _progress(rows: Iterator[Row], length: int) -> AbstractContextManager[Iterable[Row]]:
    """A progress bar with the time left."""
    return click.progressbar(rows, length=length, file=sys.stderr, label="classifying", show_pos=True)


def _choose_model(options: Options, *, workers: int) -> tuple[Model, str | None]:
    """Return the model and the name of its runtime, None for the default."""
    if options.runtime != AUTO:
        return next(_models(options)), options.runtime
    from xray_infer.runtimes.fastest import choose_fastest

    fastest = choose_fastest(list(_models(options)), workers=workers, report=say)
    return fastest.model, fastest.runtime


def _models(options: Options) -> Iterator[Model]:
    """Yield the file that is asked for, or the shipped one in every format that the options allow."""
    from xray_infer.manifest import METHODS
    from xray_infer.runtimes import RUNTIMES, SUFFIXES, find_model
    from xray_infer.shipped import DEFAULT_METHOD, shipped_model

    formats: dict[str, str] = {}  # what each option that was given asks for
    if options.format is not None:
        formats[f"--format {options.format}"] = options.format
    if options.runtime not in (None, AUTO):
        reads = RUNTIMES[options.runtime].format
        formats[f"--runtime {options.runtime} (reads {reads})"] = reads
    name = DEFAULT_METHOD if options.model is None else str(options.model)
    file = None if name in METHODS else find_model(Path(name))
    if file:
        formats[f"--model {options.model}"] = file.format
    if len(set(formats.values())) > 1:
        raise ModelError(f"{' and '.join(formats)} contradict each other")
    if file:
        yield file
    else:
        yield from (shipped_model(one, name) for one in set(formats.values()) or SUFFIXES.values())


def _shipped_models(*, as_json: bool) -> str:
    from xray_infer.shipped import list_shipped, table

    models = list_shipped()
    if as_json:
        return json.dumps([one.facts() for one in models], indent=1)
    return f"{table(models)}\n{RESEARCH_NOTICE}"


def _overlay_writer(folder: Path | None) -> OnClassified | None:
    if folder is None:
        return None
    from xray_infer.heatmap import draw_overlay, overlay_path, write_overlay

    def write(item: Item, pixels: NDArray[np.uint8], row: Row, cam: NDArray[np.float32]) -> None:
        write_overlay(overlay_path(folder, item.name), draw_overlay(pixels, cam, row))

    return write
