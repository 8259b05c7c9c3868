"""The options of `xray-infer`: what there is to ask for, and what cannot be asked for together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xray_infer import __version__
from xray_infer.images.limits import DEFAULT_DECODE_SECONDS, DEFAULT_LIMITS, Limits
from xray_infer.model.runtime_table import AUTO, DEVICES, MODEL_FORMATS, RUNTIMES
from xray_infer.run.artifact import HEATMAP_METHODS, OVERLAY_SUFFIXES
from xray_infer.run.shards import ENGINES, FORMATS, LOCAL, RAY
from xray_infer.terminal import SectionOption, debug_option

if TYPE_CHECKING:
    from xray_infer.run.settings import EngineOptions

Command = Callable[..., Any]

MEGA = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
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
    device: str
    engine: str
    ray_address: str | None
    actors: int | None
    actor_cpus: float | None
    actor_gpus: float | None
    shard_size: int
    shard_format: str
    isolate: bool
    time_limit: float
    min_confidence: float | None
    ood_threshold: float | None
    max_megapixels: float
    max_file_mb: float
    max_members: int
    max_archive_mb: float
    max_ratio: float

    @property
    def shards(self) -> bool:
        """Whether results are asked for as shards: by a URI, or a folder with a slash at its end."""
        from xray_infer.run.object_store import is_uri

        return self.out is not None and (is_uri(self.out) or self.out.endswith(("/", os.sep)))

    def problems(self) -> Iterator[str]:
        """Yield what cannot be asked for together, with what to do."""
        no_file = self.out in (None, "-")
        if self.watch and self.from_list is not None:
            yield "--watch goes with a folder, not with --from-list"
        if self.watch and no_file:
            yield "--watch needs a file for its results: add --out r.csv"
        if self.restart and no_file:
            yield "--restart goes with --out FILE"
        if self.report is not None and no_file:
            yield "--report goes with a file of results: add --out results.csv"
        for name in ("heatmap_for", "heatmap_format", "heatmap_raw"):
            if getattr(self, name) and self.heatmap is None:
                yield f"{_option(name)} goes with --heatmap DIR"
        if self.heatmap_method is not None and (self.heatmap, self.report, self.dicom_out) == (None,) * 3:
            yield "--heatmap-method goes with --heatmap DIR, --report FILE or --dicom-out DIR"
        if self.shards:
            for name in ("watch", "heatmap", "dicom_out", "report"):
                if getattr(self, name):
                    yield f"{_option(name)} goes with --out FILE; {self.out} is for shards"
        elif self.engine == RAY:
            yield "--engine ray makes shards: give --out a folder with a slash at its end, or a URI"
        if self.engine != RAY:
            for name in ("ray_address", "actors", "actor_cpus", "actor_gpus"):
                if getattr(self, name) is not None:
                    yield f"{_option(name)} goes with --engine ray"

    def engine_options(self, workers: int) -> EngineOptions:
        """Return what the engine needs; a single image needs one worker."""
        from xray_infer.run.settings import EngineOptions

        return EngineOptions(
            workers=workers if self.out is not None else 1,
            threads=self.threads,
            batch_size=self.batch_size,
            limits=self.limits(),
            ood_threshold=self.ood_threshold,
            min_confidence=self.min_confidence,
            isolate_s=self.time_limit if self.isolate else None,
            device=self.device,
        )

    def limits(self) -> Limits:
        """Return the bounds in their own units."""
        return Limits(
            max_pixels=round(self.max_megapixels * MEGA),
            max_file_bytes=round(self.max_file_mb * MEGA),
            max_members=self.max_members,
            max_archive_bytes=round(self.max_archive_mb * MEGA),
            max_compression_ratio=self.max_ratio,
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


# Sections of `--help`, in its order.
_source: Final = partial(click.option, cls=SectionOption, section="Source")
_results: Final = partial(click.option, cls=SectionOption, section="Results")
_model: Final = partial(click.option, cls=SectionOption, section="Model")
_pictures: Final = partial(click.option, cls=SectionOption, section="Heat maps, page and DICOM objects")
_refusing: Final = partial(click.option, cls=SectionOption, section="Uncertain and rejected images")
_speed: Final = partial(click.option, cls=SectionOption, section="Speed")
_machines: Final = partial(click.option, cls=SectionOption, section="Many machines")
_limits: Final = partial(click.option, cls=SectionOption, section="Limits and damaged files")


def _limit(name: str, default: float, text: str) -> Callable[[Command], Command]:
    """Return an option for a bound, a positive number."""
    kind: Any = click.IntRange(1) if isinstance(default, int) else click.FloatRange(0, min_open=True)
    return _limits(name, type=kind, default=default, show_default=True, help=text)


# The viewer has these as well.
RUNTIME: Final = _model(
    "--runtime",
    type=click.Choice([*RUNTIMES, AUTO]),
    help="Inference runtime. Default: onnxruntime, or litert for tflite. auto: the fastest on this machine, "
    "measured once and remembered.",
)
MODEL: Final = _model(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file, or a name from xray-infer --list-models. Default: feature_extraction.",
)
MIN_CONFIDENCE: Final = _refusing(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    help="Lowest probability for a label; below it the label is 'uncertain'. Default: the model's own, or 0.",
)
OOD_THRESHOLD: Final = _refusing(
    "--ood-threshold",
    type=click.FloatRange(0),
    help="Out-of-distribution score above which an image is rejected; inf: never. Default: the model's own.",
)
VERSION: Final = click.version_option(__version__)

OPTIONS: Final = (
    click.argument("source", required=False),
    _source("--from-list", metavar="FILE", help="File with one path or URI per line; - is standard input."),
    _source("--recursive/--no-recursive", default=True, show_default=True, help="Search sub-folders."),
    _source("--watch", is_flag=True, help="Keep running and classify files as they arrive."),
    _results(
        "--out",
        metavar="FILE",
        help="File for the results: .csv, .jsonl or .parquet; - writes JSON Lines to standard output. A "
        "folder with a slash at its end, or a URI, gets shards, for `xray-infer merge`.",
    ),
    _results("--restart", is_flag=True, help="Discard what an earlier run has done and start over."),
    _results("--quiet", is_flag=True, help="Show no progress and no summary."),
    MODEL,
    _model("--format", type=click.Choice(MODEL_FORMATS), help="Format of the model file. Default: onnx."),
    RUNTIME,
    _model("--list-models", is_flag=True, help="List the models that ship, and exit."),
    _model("--json", "as_json", is_flag=True, help="Print the list of --list-models as JSON."),
    _pictures(
        "--heatmap",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder for heat maps drawn over each image at full size: NAME.heatmap.jpg.",
    ),
    _pictures(
        "--heatmap-for",
        metavar="CLASS",
        help="Class of the model whose heat map is drawn, to NAME.CLASS.heatmap.jpg; all: one file per "
        "class, in one colour scale for comparison. Default: predicted, the most probable.",
    ),
    _pictures(
        "--heatmap-format",
        type=click.Choice(tuple(OVERLAY_SUFFIXES)),
        help="Format of the heat map files. Default: jpeg; png is slower.",
    ),
    _pictures(
        "--heatmap-method",
        type=click.Choice(HEATMAP_METHODS),
        help="Method of the heat maps. Default: gradcam, which needs no extra time; occlusion is sharper and "
        "needs many passes per image, 122 for an input of 96 pixels and 170 for one of 224.",
    ),
    _pictures(
        "--heatmap-raw", is_flag=True, help="Also write the maps of all classes as arrays: NAME.heatmap.npz."
    ),
    _pictures(
        "--dicom-out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder for a heat map (Secondary Capture) and a Structured Report per DICOM image.",
    ),
    _pictures(
        "--report",
        type=click.Path(path_type=Path),
        metavar="FILE.html",
        help="Web page with counts, all images and their heat maps; its pictures go to FILE_files.",
    ),
    MIN_CONFIDENCE,
    OOD_THRESHOLD,
    _speed(
        "--workers",
        type=click.IntRange(1, 256),
        help="Number of workers. Default: one per processor; four per processor for an object store.",
    ),
    _speed(
        "--threads",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        help="Threads per worker's model.",
    ),
    _speed(
        "--batch-size", type=click.IntRange(1, 256), default=1, show_default=True, help="Images per batch."
    ),
    _speed(
        "--device",
        type=click.Choice(DEVICES),
        default="cpu",
        show_default=True,
        help="Device that runs the model. cuda: an NVIDIA GPU, by onnxruntime-gpu; refused where it would "
        "not really run there.",
    ),
    _machines(
        "--engine",
        type=click.Choice(ENGINES),
        default=LOCAL,
        show_default=True,
        help="Engine that makes shards. ray: many processes or machines; needs '.[ray]'.",
    ),
    _machines(
        "--ray-address",
        metavar="ADDRESS",
        help="Address of a Ray cluster. Default: RAY_ADDRESS, or this machine.",
    ),
    _machines(
        "--actors",
        type=click.IntRange(1),
        help="Number of Ray actors (one model each). Default: as many as fit.",
    ),
    _machines(
        "--actor-cpus", type=click.FloatRange(0, min_open=True), help="Processors per actor. Default: 1."
    ),
    _machines("--actor-gpus", type=click.FloatRange(0), help="GPUs per actor. Default: 1 with cuda, else 0."),
    _machines(
        "--shard-size",
        type=click.IntRange(1),
        default=1000,
        show_default=True,
        help="Approximate number of images per shard.",
    ),
    _machines(
        "--shard-format",
        type=click.Choice(FORMATS),
        default=FORMATS[0],
        show_default=True,
        help="Format of the shards.",
    ),
    _limits(
        "--isolate", is_flag=True, help="Decode in separate processes, so that a crash costs only one file."
    ),
    _limit("--time-limit", DEFAULT_DECODE_SECONDS, "Maximum seconds to decode one file, with --isolate."),
    _limit("--max-megapixels", DEFAULT_LIMITS.max_pixels / MEGA, "Maximum megapixels per image."),
    _limit("--max-file-mb", DEFAULT_LIMITS.max_file_bytes / MEGA, "Maximum megabytes per image, unpacked."),
    _limit("--max-members", DEFAULT_LIMITS.max_members, "Maximum number of members per archive."),
    _limit(
        "--max-archive-mb",
        DEFAULT_LIMITS.max_archive_bytes / MEGA,
        "Maximum megabytes per archive, unpacked.",
    ),
    _limit("--max-ratio", DEFAULT_LIMITS.max_compression_ratio, "Maximum ratio of unpacked to packed size."),
    debug_option,
    VERSION,
)


def with_options(command: Command) -> Command:
    """Give a command all of OPTIONS, in their order."""
    return reduce(lambda made, option: option(made), reversed(OPTIONS), command)
