"""The commands `xray-infer` and `xray-infer merge`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_infer.classes import ALL, PREDICTED, RESEARCH_NOTICE
from xray_infer.errors import OutputError, XrayError
from xray_infer.options import Options, with_options
from xray_infer.run.artifact import HEATMAP_METHODS, OVERLAY_SUFFIXES
from xray_infer.run.shards import RAY
from xray_infer.terminal import (
    EXIT_INTERRUPTED,
    MainCommand,
    debug_option,
    hide_native_output,
    one_line_errors,
    say,
)

if TYPE_CHECKING:
    from xray_infer.outputs.artifacts import Artifacts
    from xray_infer.run.engine import Engine
    from xray_infer.run.job import Job, RunInputs
    from xray_infer.run.shards.shard_job import ShardOptions

EXIT_SOME_FAILED = 1


@click.command(
    "merge",
    short_help="Make one file of the results in shards.",
    epilog=RESEARCH_NOTICE,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("shards")
@click.option("--out", required=True, metavar="FILE", help="Path or URI: .csv, .jsonl or .parquet.")
@debug_option
def merge_command(shards: str, out: str, debug: bool) -> None:
    """Make one file of the results in SHARDS, a folder or a URI, its rows in the order of the source."""
    with one_line_errors("xray-infer merge", debug=debug):
        from xray_infer.run.object_store import without_secrets
        from xray_infer.run.shards.merging import merge
        from xray_infer.run.shards.shard_store import Store

        count = merge(Store(shards), out)
        say(f"results: {count:,} rows in {without_secrets(out)}")
        say(RESEARCH_NOTICE)


@click.command(
    cls=MainCommand,
    commands=[merge_command],
    epilog="Exit status: 0 all read, 1 some could not be read, 2 nothing could be done, 70 a fault of the "
    "program, 130 interrupted. Every option can be given as an environment variable, XRAY_INFER_OUT for "
    f"--out. {RESEARCH_NOTICE}",
    context_settings={"auto_envvar_prefix": "XRAY_INFER", "help_option_names": ["-h", "--help"]},
)
@with_options
def main(list_models: bool, as_json: bool, debug: bool, **given: Any) -> None:
    """Classify chest X-rays: the model that ships says covid, pneumonia or normal.

    SOURCE is a folder, an image file, a quoted pattern ('scans/**/*.png'), a zip or tar archive, or a URI
    (s3://bucket/scans). Every image gets a row in the results, also when it cannot be read. A run that was
    interrupted goes on when the same command is given again. `xray-infer merge` makes one file of shards.
    """
    options = Options(**given)
    context = click.get_current_context()
    sources = sum((list_models, options.source is not None, options.from_list is not None))
    if sources != 1:
        raise click.UsageError("give one of SOURCE, --from-list or --list-models", context)
    if as_json and not list_models:
        raise click.UsageError("--json goes with --list-models", context)
    for problem in options.problems():
        raise click.UsageError(problem, context)
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
    if options.shards:
        shards = _shard_options(options)
        cpus = shards.ray.actor_cpus if shards.ray else None
        return _run_into_shards(options, shards, _inputs(options, processors=cpus))
    return _run_into_file(options, _inputs(options))


def _inputs(options: Options, *, processors: float | None = None) -> RunInputs:
    """Open the source and choose the model; `processors` are by default those of this machine."""
    import cv2

    from xray_infer.host import default_workers
    from xray_infer.model.choice import ModelRequest, select_model
    from xray_infer.run.job import RunInputs, listed
    from xray_infer.run.object_store import workers_for
    from xray_infer.run.sources.opening import open_source
    from xray_infer.run.writers import STANDARD_OUTPUT, find_writer

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
    elif options.out != STANDARD_OUTPUT and not options.shards:
        find_writer(Path(options.out))
    cv2.setNumThreads(1)  # the workers are the parallelism
    workers = options.workers or workers_for(source.location, processors or default_workers())
    request = ModelRequest(options.model, options.format, options.runtime)
    model, runtime = select_model(request, workers=workers, report=say)
    return RunInputs(source, items, model, runtime, options.engine_options(workers))


def _run_into_shards(options: Options, shards: ShardOptions, inputs: RunInputs) -> int:
    """Make shards, and return the exit status."""
    from xray_infer.run.job import stop_on_signals
    from xray_infer.run.progress import Progress, Summary
    from xray_infer.run.shards.shard_job import ShardJob, worker_settings
    from xray_infer.run.shards.shard_store import Store

    settings = worker_settings(shards, inputs.model, inputs.runtime, inputs.engine_options, inputs.source)
    store = Store(settings.out)
    with stop_on_signals() as stop:
        job = ShardJob(
            source=inputs.source,
            items=inputs.items,
            stop=stop,
            progress=Progress(lambda: job.images, quiet=options.quiet),
            summary=Summary(inputs.model.manifest().class_names),
            settings=settings,
            store=store,
            model=inputs.model,
            engine=shards.engine(),
            shard_size=shards.size,
        )
        _perform(job, lambda: job.run(restart=options.restart))
        _say_device(options, settings.fingerprint["runtime"])  # no worker makes rows by another
        return _close(job, quiet=options.quiet)


def _run_into_file(options: Options, inputs: RunInputs) -> int:
    """Make a file of results, print them to standard output, or show one; return the exit status."""
    from xray_infer.run.engine import Engine, make_all
    from xray_infer.run.file_job import FileJob
    from xray_infer.run.job import stop_on_signals
    from xray_infer.run.progress import Progress, Summary
    from xray_infer.run.watching import Watch
    from xray_infer.run.writers import STANDARD_OUTPUT

    model, engine_options = inputs.model, inputs.engine_options
    out = Path(options.out or "")
    artifacts = _artifacts(options, out, inputs)
    with (
        Engine(
            model, engine_options, runtime=inputs.runtime, on_classified=make_all(artifacts.all)
        ) as engine,
        stop_on_signals() as stop,
    ):
        _say_device(options, engine.maker.runtime)
        count = (lambda: None) if options.watch else inputs.source.count
        job = FileJob(
            source=inputs.source,
            items=inputs.items,
            stop=stop,
            progress=Progress(count, quiet=options.quiet or options.out is None),
            summary=Summary(engine.manifest.class_names),
            engine=engine,
            out=out,
            artifacts=artifacts.all,
            page=artifacts.page,
        )
        if options.out is None:
            return _show_one(engine, job)
        if options.out == STANDARD_OUTPUT:
            _perform(job, lambda: job.to_stream(sys.stdout))
        elif options.watch:
            _perform(job, lambda: Watch(job, say).to_file(restart=options.restart))
        else:
            _perform(job, lambda: job.to_file(restart=options.restart))
        return _close(job, quiet=options.quiet)


def _perform(job: Job, work: Callable[[], None]) -> None:
    """Do the work of a job; however it ends, say how to go on from there."""
    try:
        work()
    finally:
        job.progress.clear()
        if not job.finished and (line := job.resume_line()):
            say(line)


def _close(job: Job, *, quiet: bool) -> int:
    """Say how a job went and where its results are, and return the exit status."""
    if not quiet:
        for line in (*job.closing_lines(), *(job.result_lines() if job.finished else ())):
            say(line)
    if not job.finished:
        return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if job.summary.unread else 0


def _say_device(options: Options, runtime: str) -> None:
    """Say what really runs, where more than the CPU was asked for."""
    if options.device != "cpu":
        say(f"device: {options.device}, by {runtime}")


def _show_one(engine: Engine, job: Job) -> int:
    """Print one image's probabilities as a table."""
    from xray_infer.run.engine import Task
    from xray_infer.run.results import ERROR, OK, probability_table

    (outcome,) = engine.run(Task(item) for item in job.items)
    row = outcome.row
    click.echo(probability_table(row) if row.status == OK else f"{row.path}: {row.status}: {row.reason}")
    for line in job.artifact_lines():
        say(line)
    return EXIT_SOME_FAILED if row.status == ERROR else 0


def _shipped_models(*, as_json: bool) -> str:
    from xray_infer.model.choice import list_shipped, table

    models = list_shipped()
    if as_json:
        import json

        return json.dumps([one.facts() for one in models], indent=1)
    return f"{table(models)}\n{RESEARCH_NOTICE}"


def _shard_options(options: Options) -> ShardOptions:
    """Return what is to be made of shards. Raises MissingExtraError for what it needs."""
    from xray_infer.run.shards.on_ray import RayOptions
    from xray_infer.run.shards.shard_job import ShardOptions

    gpus = options.actor_gpus
    if gpus is None:
        gpus = 1.0 if options.device == "cuda" else 0.0
    cpus = 1.0 if options.actor_cpus is None else options.actor_cpus
    ray = RayOptions(options.ray_address, options.actors, cpus, gpus) if options.engine == RAY else None
    wanted = ShardOptions(
        options.out or "", options.source or "", options.shard_size, options.shard_format, ray
    )
    wanted.check()
    return wanted


def _artifacts(options: Options, out: Path, inputs: RunInputs) -> Artifacts:
    """Open what is to be made beside the rows, which is often nothing."""
    from xray_infer.outputs.artifacts import ArtifactOptions, Artifacts, open_artifacts

    if (options.heatmap, options.dicom_out, options.report) == (None,) * 3:
        return Artifacts(())
    manifest = inputs.model.manifest()
    method = options.heatmap_method or HEATMAP_METHODS[0]
    overlays = None
    if options.heatmap is not None:
        from xray_infer.outputs.overlays import Overlays

        shown, names = options.heatmap_for or PREDICTED, manifest.class_names
        if shown not in (PREDICTED, *names, ALL):
            raise XrayError(f"--heatmap-for: the model has no class {shown!r}; it has {', '.join(names)}")
        overlays = Overlays(
            options.heatmap,
            names,
            shown,
            options.heatmap_format or next(iter(OVERLAY_SUFFIXES)),
            options.heatmap_raw,
            method,
        )
    chosen = ArtifactOptions(method, overlays, options.dicom_out, options.report)
    return open_artifacts(chosen, out, manifest, inputs.engine_options)


def entry() -> None:
    """Run `xray-infer`."""
    main(prog_name="xray-infer")
