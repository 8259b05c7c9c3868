"""The command `xray-infer`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_infer import __version__
from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.errors import OutputError
from xray_infer.limits import DEFAULT_DECODE_SECONDS, DEFAULT_LIMITS
from xray_infer.native_output import hide_native_output
from xray_infer.terminal import EXIT_INTERRUPTED, one_line_errors, say

if TYPE_CHECKING:
    from xray_infer.artifacts.opening import WantedArtifacts
    from xray_infer.engine import Engine
    from xray_infer.limits import Limits
    from xray_infer.runs.job import Job

Command = Callable[..., Any]

EXIT_SOME_FAILED = 1
RUNTIME_CHOICES = ("onnxruntime", "litert", "openvino", "auto")
# Names in `heatmaps.methods.METHODS` and `sources.selection.OVERLAY_SUFFIXES`, which load numpy.
METHOD_CHOICES = ("gradcam", "occlusion")
OVERLAY_CHOICES = ("jpeg", "png")
MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, as given; None where a default depends on something else."""

    source: str | None
    from_list: str | None
    recursive: bool
    out: str | None
    restart: bool
    watch: bool
    quiet: bool
    format: str | None
    runtime: str | None
    model: Path | None
    heatmap: Path | None
    heatmap_for: str | None
    heatmap_format: str | None
    heatmap_method: str | None
    heatmap_raw: bool
    dicom_out: Path | None
    report: Path | None
    workers: int | None
    threads: int
    batch_size: int
    isolate: bool
    time_limit: float
    min_confidence: float
    ood_threshold: float | None
    max_megapixels: float
    max_file_mb: float
    max_members: int
    max_archive_mb: float
    max_ratio: float

    def limits(self) -> Limits:
        """Return the bounds in their own units."""
        from xray_infer.limits import Limits

        return Limits(
            max_pixels=round(self.max_megapixels * MEGA),
            max_file_bytes=round(self.max_file_mb * MEGA),
            max_members=self.max_members,
            max_archive_bytes=round(self.max_archive_mb * MEGA),
            max_compression_ratio=self.max_ratio,
        )


def limit_option(name: str, default: float, text: str) -> Callable[[Command], Command]:
    """Return an option for a bound, a positive number."""
    kind: Any = click.IntRange(1) if isinstance(default, int) else click.FloatRange(0, min_open=True)
    return click.option(name, type=kind, default=default, show_default=True, help=text)


@click.command(
    epilog="Exit status: 0 all read, 1 some could not be read, 2 nothing could be done, 70 a fault of the "
    "program, 130 interrupted. Every option can be given as an environment variable, XRAY_INFER_OUT for "
    f"--out. {RESEARCH_NOTICE}",
    context_settings={"auto_envvar_prefix": "XRAY_INFER", "help_option_names": ["-h", "--help"]},
)
@click.argument("source", required=False)
@click.option("--from-list", metavar="FILE", help="Read paths from FILE, one a line; - is standard input.")
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Search sub-folders.")
@click.option(
    "--out", metavar="FILE", help="Results: .csv, .jsonl or .parquet; - is JSON Lines on standard output."
)
@click.option("--restart", is_flag=True, help="Start over, and forget what an unfinished run has done.")
@click.option("--watch", is_flag=True, help="Keep running, and classify files as they arrive.")
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
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
@click.option(
    "--heatmap",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Draw a heat map over each image, at its own size, in DIR: NAME.heatmap.jpg.",
)
@click.option(
    "--heatmap-for",
    type=click.Choice(["predicted", *CLASS_NAMES, "all"]),
    help="The class it speaks for, NAME.covid.heatmap.jpg; all: three files in one colour scale, to compare. "
    "Default: predicted, the most probable.",
)
@click.option("--heatmap-format", type=click.Choice(OVERLAY_CHOICES), help="Default: jpeg; png is slower.")
@click.option(
    "--heatmap-method",
    type=click.Choice(METHOD_CHOICES),
    help="gradcam comes with the answer; occlusion is sharper, and 170 passes an image. Default: gradcam.",
)
@click.option(
    "--heatmap-raw", is_flag=True, help="Also keep the maps themselves, of all classes: NAME.heatmap.npz."
)
@click.option(
    "--dicom-out",
    type=click.Path(path_type=Path),
    help="Folder for a heat map (Secondary Capture) and a Structured Report per DICOM image.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="A page with counts, all images and their heat maps; pictures go to FILE_files.",
)
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Below it the label is 'uncertain'.",
)
@click.option(
    "--ood-threshold",
    type=click.FloatRange(0),
    help="Out-of-distribution score above which an image is rejected; inf: never. Default: the model's own.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Default: one per processor.")
@click.option(
    "--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of each worker's model."
)
@click.option("--batch-size", type=click.IntRange(1, 64), default=1, show_default=True, help="Images a pass.")
@click.option("--isolate", is_flag=True, help="Decode in processes of their own: a crash costs one file.")
@limit_option(
    "--time-limit", DEFAULT_DECODE_SECONDS, "With --isolate: seconds that decoding one file may take."
)
@limit_option("--max-megapixels", DEFAULT_LIMITS.max_pixels / MEGA, "Of one image.")
@limit_option("--max-file-mb", DEFAULT_LIMITS.max_file_bytes / MEGA, "Of one image, unpacked.")
@limit_option("--max-members", DEFAULT_LIMITS.max_members, "Of an archive.")
@limit_option("--max-archive-mb", DEFAULT_LIMITS.max_archive_bytes / MEGA, "Of all members, unpacked.")
@limit_option("--max-ratio", DEFAULT_LIMITS.max_compression_ratio, "Of unpacked over packed size.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__)
def main(list_models: bool, as_json: bool, debug: bool, **given: Any) -> None:
    """Classify chest X-rays as covid, pneumonia or normal.

    SOURCE is a folder, an image file, a quoted pattern ('scans/**/*.png'), a zip or tar archive, or a URI
    (s3://bucket/scans). Every image gets a row in the results, also when it cannot be read. A run that was
    interrupted goes on when the same command is given again.
    """
    options = Options(**given)
    context = click.get_current_context()
    sources = sum((list_models, options.source is not None, options.from_list is not None))
    if sources != 1:
        raise click.UsageError("give one of SOURCE, --from-list or --list-models", context)
    for unfit, message in (
        (as_json and not list_models, "--json goes with --list-models"),
        (options.watch and options.from_list is not None, "--watch goes with a folder, not with --from-list"),
        (
            options.watch and options.out in (None, "-"),
            "--watch needs a file for its results: add --out r.csv",
        ),
        (options.restart and options.out in (None, "-"), "--restart goes with --out FILE"),
        (
            options.report is not None and options.out in (None, "-"),
            "--report goes with a file of results: add --out results.csv",
        ),
        *(
            (
                bool(given[name]) and options.heatmap is None,
                f"--{name.replace('_', '-')} goes with --heatmap DIR",
            )
            for name in ("heatmap_for", "heatmap_format", "heatmap_raw")
        ),
        (
            options.heatmap_method is not None
            and (options.heatmap, options.report, options.dicom_out) == (None, None, None),
            "--heatmap-method goes with --heatmap DIR, --report FILE or --dicom-out DIR",
        ),
    ):
        if unfit:
            raise click.UsageError(message, context)
    with one_line_errors("xray-infer", debug=debug):
        if list_models:
            click.echo(_shipped_models(as_json=as_json))
            return
        # What C libraries print of damaged files would bury every message.
        with nullcontext() if debug else hide_native_output():
            status = run(options)
        sys.exit(status)


def run(options: Options) -> int:
    """Classify the source and return the exit status. Raises XrayError for what the user must mend."""
    import cv2

    from xray_infer.artifacts.opening import open_artifacts
    from xray_infer.engine import Engine, EngineOptions
    from xray_infer.model_choice import Wanted, select_model
    from xray_infer.processors import default_workers
    from xray_infer.runs.job import Job, listed
    from xray_infer.runs.progress import Progress
    from xray_infer.runs.stopping import stop_on_signals
    from xray_infer.sources.opening import open_source
    from xray_infer.writers import find_writer

    limits = options.limits()
    source = open_source(
        options.source, from_list=options.from_list, recursive=options.recursive, limits=limits
    )
    items = iter(source) if options.watch else listed(source)
    if options.out is None:
        first = tuple(itertools.islice(items, 2))
        if len(first) > 1:
            raise OutputError(f"{source.location} has more than one image: add --out results.csv")
        items = iter(first)
    elif options.out != "-":
        find_writer(Path(options.out))
    cv2.setNumThreads(1)  # the workers are the parallelism
    workers = options.workers or default_workers()
    wanted = Wanted(options.model, options.format, options.runtime)
    model, runtime = select_model(wanted, workers=workers, report=say)
    engine_options = EngineOptions(
        workers=workers if options.out is not None else 1,
        threads=options.threads,
        batch_size=options.batch_size,
        limits=limits,
        ood_threshold=options.ood_threshold,
        min_confidence=options.min_confidence,
        isolate_s=options.time_limit if options.isolate else None,
    )
    out = Path(options.out or "")
    artifacts = open_artifacts(_wanted_artifacts(options), out, model, engine_options)
    with (
        Engine(model, engine_options, runtime=runtime, on_classified=artifacts.on_classified()) as engine,
        stop_on_signals() as stop,
    ):
        count = (lambda: None) if options.watch else source.count
        quiet = options.quiet or options.out is None
        job = Job(engine, source, items, stop, Progress(count, quiet=quiet), artifacts.all, artifacts.page)
        if options.out is None:
            return _show_one(engine, job)
        return _to_output(job, options)


def _to_output(job: Job, options: Options) -> int:
    """Run the job into its file or to standard output, tell how it went, and return the exit status."""
    from xray_infer.runs.watching import Watch

    out = Path(options.out or "")
    to_stream = options.out == "-"
    try:
        if to_stream:
            job.to_stream(sys.stdout)
        elif options.watch:
            Watch(job, say).to_file(out, restart=options.restart)
        else:
            job.to_file(out, restart=options.restart)
    finally:
        job.progress.clear()
        kept = job.reused + job.journaled
        if kept and not job.finished:
            say(f"{kept:,} rows are safe in {out}.journal; the same command goes on from there")
    if not options.quiet:
        for line in job.told():
            say(line)
        if job.finished and not to_stream:
            say(f"results: {out}")
            if options.report is not None:
                say(f"report: {options.report}")
    if not job.finished:
        return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if job.summary.unread else 0


def _show_one(engine: Engine, job: Job) -> int:
    """Print one image's probabilities as a table."""
    from xray_infer.engine import Task
    from xray_infer.results import ERROR, OK, probability_table

    (outcome,) = engine.run(Task(item) for item in job.items)
    row = outcome.row
    click.echo(probability_table(row) if row.status == OK else f"{row.path}: {row.status}: {row.reason}")
    for line in job.told_beside():
        say(line)
    return EXIT_SOME_FAILED if row.status == ERROR else 0


def _shipped_models(*, as_json: bool) -> str:
    from xray_infer.shipped import list_shipped, table

    models = list_shipped()
    if as_json:
        return json.dumps([one.facts() for one in models], indent=1)
    return f"{table(models)}\n{RESEARCH_NOTICE}"


def _wanted_artifacts(options: Options) -> WantedArtifacts:
    """Return what is to be made beside the rows."""
    from xray_infer.artifacts.opening import WantedArtifacts

    method = options.heatmap_method or METHOD_CHOICES[0]
    overlays = None
    if options.heatmap is not None:
        from xray_infer.artifacts.overlays import Overlays

        overlays = Overlays(
            options.heatmap,
            options.heatmap_for or "predicted",
            options.heatmap_format or OVERLAY_CHOICES[0],
            options.heatmap_raw,
            method,
        )
    return WantedArtifacts(method, overlays, options.dicom_out, options.report)
