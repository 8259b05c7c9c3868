"""The command `xray-infer`."""

from __future__ import annotations

import itertools
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import OutputError
from xray_infer.native_output import hide_native_output
from xray_infer.options import METHOD_CHOICES, OVERLAY_CHOICES, Options, with_options
from xray_infer.terminal import EXIT_INTERRUPTED, one_line_errors, say

if TYPE_CHECKING:
    from xray_infer.images.limits import Limits
    from xray_infer.outputs.opening import WantedArtifacts
    from xray_infer.run.engine import Engine, EngineOptions
    from xray_infer.run.job import Job
    from xray_infer.run.shards.job import ShardJob
    from xray_infer.run.shards.opening import WantedShards

EXIT_SOME_FAILED = 1


@click.command(
    epilog="Exit status: 0 all read, 1 some could not be read, 2 nothing could be done, 70 a fault of the "
    "program, 130 interrupted. Every option can be given as an environment variable, XRAY_INFER_OUT for "
    f"--out. {RESEARCH_NOTICE}",
    context_settings={"auto_envvar_prefix": "XRAY_INFER", "help_option_names": ["-h", "--help"]},
)
@with_options
def main(list_models: bool, as_json: bool, debug: bool, **given: Any) -> None:
    """Classify chest X-rays as covid, pneumonia or normal.

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
    import cv2

    from xray_infer.model.choice import Wanted, select_model
    from xray_infer.model.processors import default_workers
    from xray_infer.outputs.opening import open_artifacts
    from xray_infer.run.engine import Engine
    from xray_infer.run.job import Job, listed
    from xray_infer.run.object_store import workers_for
    from xray_infer.run.progress import Progress
    from xray_infer.run.sources.opening import open_source
    from xray_infer.run.stopping import stop_on_signals
    from xray_infer.run.writers import find_writer

    limits = options.limits()
    shards = _wanted_shards(options) if options.shards else None
    source = open_source(
        options.source, from_list=options.from_list, recursive=options.recursive, limits=limits
    )
    items = iter(source) if options.watch else listed(source)
    if options.out is None:
        first = tuple(itertools.islice(items, 2))
        if len(first) > 1:
            raise OutputError(f"{source.location} has more than one image: add --out results.csv")
        items = iter(first)
    elif options.out != "-" and not shards:
        find_writer(Path(options.out))
    cv2.setNumThreads(1)  # the workers are the parallelism
    processors = shards.ray.actor_cpus if shards and shards.ray else default_workers()
    workers = options.workers or workers_for(source.location, processors)
    wanted = Wanted(options.model, options.format, options.runtime)
    model, runtime = select_model(wanted, workers=workers, report=say)
    engine_options = _engine_options(options, limits, workers)
    if shards:
        from xray_infer.run.shards.job import ShardJob
        from xray_infer.run.shards.opening import settings_of
        from xray_infer.run.shards.store import Store

        settings = settings_of(shards, model, runtime, engine_options, source)
        store, make = Store(settings.out), shards.make()
        with stop_on_signals() as stop:
            progress = Progress(lambda: shard_job.images, quiet=options.quiet)
            shard_job = ShardJob(settings, store, model, source, items, stop, progress, make, shards.size)
            return _to_shards(shard_job, options)
    out = Path(options.out or "")
    artifacts = open_artifacts(_wanted_artifacts(options), out, model, engine_options)
    with (
        Engine(model, engine_options, runtime=runtime, on_classified=artifacts.on_classified()) as engine,
        stop_on_signals() as stop,
    ):
        _tell_device(options, engine.maker.runtime)
        count = (lambda: None) if options.watch else source.count
        quiet = options.quiet or options.out is None
        job = Job(engine, source, items, stop, Progress(count, quiet=quiet), artifacts.all, artifacts.page)
        if options.out is None:
            return _show_one(engine, job)
        return _to_output(job, options)


def _engine_options(options: Options, limits: Limits, workers: int) -> EngineOptions:
    from xray_infer.run.engine import EngineOptions

    return EngineOptions(
        workers=workers if options.out is not None else 1,
        threads=options.threads,
        batch_size=options.batch_size,
        limits=limits,
        ood_threshold=options.ood_threshold,
        min_confidence=options.min_confidence,
        isolate_s=options.time_limit if options.isolate else None,
        device=options.device,
    )


def _tell_device(options: Options, runtime: str) -> None:
    """Say what really runs, where more than the CPU was asked for."""
    if options.device != "cpu":
        say(f"device: {options.device}, by {runtime}")


def _to_shards(job: ShardJob, options: Options) -> int:
    """Run the job into its folder or store, tell how it went, and return the exit status."""
    try:
        job.run(restart=options.restart)
    finally:
        job.progress.clear()
        if job.count and not job.finished:
            so_far = f"{job.done:,} of {job.count:,} shards are finished"
            say(f"{so_far} in {job.store.location}; the same command goes on from there")
    _tell_device(options, job.settings.fingerprint["runtime"])  # no worker makes rows by another
    if not options.quiet:
        for line in job.told():
            say(line)
        if job.finished:
            say(f"results: {job.count:,} shards in {job.store.location}; for one file: xray-infer merge")
    if not job.finished:
        return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if job.summary.unread else 0


def _to_output(job: Job, options: Options) -> int:
    """Run the job into its file or to standard output, tell how it went, and return the exit status."""
    from xray_infer.run.watching import Watch

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
    from xray_infer.run.engine import Task
    from xray_infer.run.results import ERROR, OK, probability_table

    (outcome,) = engine.run(Task(item) for item in job.items)
    row = outcome.row
    click.echo(probability_table(row) if row.status == OK else f"{row.path}: {row.status}: {row.reason}")
    for line in job.told_beside():
        say(line)
    return EXIT_SOME_FAILED if row.status == ERROR else 0


def _shipped_models(*, as_json: bool) -> str:
    from xray_infer.model.shipped import list_shipped, table

    models = list_shipped()
    if as_json:
        return json.dumps([one.facts() for one in models], indent=1)
    return f"{table(models)}\n{RESEARCH_NOTICE}"


def _wanted_shards(options: Options) -> WantedShards:
    """Return what is to be made of shards. Raises MissingExtraError for what it needs."""
    from xray_infer.run.shards.on_ray import RayOptions
    from xray_infer.run.shards.opening import WantedShards

    gpus = options.actor_gpus
    if gpus is None:
        gpus = 1.0 if options.device == "cuda" else 0.0
    cpus = 1.0 if options.actor_cpus is None else options.actor_cpus
    ray = RayOptions(options.ray_address, options.actors, cpus, gpus) if options.engine == "ray" else None
    wanted = WantedShards(
        options.out or "", options.source or "", options.shard_size, options.shard_format, ray
    )
    wanted.check()
    return wanted


def _wanted_artifacts(options: Options) -> WantedArtifacts:
    """Return what is to be made beside the rows."""
    from xray_infer.outputs.opening import WantedArtifacts

    method = options.heatmap_method or METHOD_CHOICES[0]
    overlays = None
    if options.heatmap is not None:
        from xray_infer.outputs.overlays import Overlays

        overlays = Overlays(
            options.heatmap,
            options.heatmap_for or "predicted",
            options.heatmap_format or OVERLAY_CHOICES[0],
            options.heatmap_raw,
            method,
        )
    return WantedArtifacts(method, overlays, options.dicom_out, options.report)


def entry() -> None:
    """Run `xray-infer`; its first word may be `merge`. A folder of that name is ./merge."""
    if sys.argv[1:2] == ["merge"]:
        from xray_infer.run.shards.command import merge_command

        merge_command(sys.argv[2:], prog_name="xray-infer merge")
    main(prog_name="xray-infer")
