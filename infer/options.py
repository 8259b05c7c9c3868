"""The options of `xray-infer`: what there is to ask for, and what cannot be asked for together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xray_infer import __version__
from xray_infer.classes import CLASS_NAMES
from xray_infer.images.limits import DEFAULT_DECODE_SECONDS, DEFAULT_LIMITS
from xray_infer.run.object_store import is_uri

if TYPE_CHECKING:
    from xray_infer.images.limits import Limits

Command = Callable[..., Any]

ENGINE_CHOICES = ("local", "ray")
SHARD_FORMATS = ("parquet", "jsonl")  # `shards.FORMATS`
DEVICE_CHOICES = ("cpu", "cuda")  # `runtimes.DEVICES`, which loads numpy
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
    min_confidence: float
    ood_threshold: float | None
    max_megapixels: float
    max_file_mb: float
    max_members: int
    max_archive_mb: float
    max_ratio: float

    @property
    def shards(self) -> bool:
        """Whether results are asked for as shards: by a URI, or a folder with a slash at its end."""
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
        elif self.engine == "ray":
            yield "--engine ray makes shards: give --out a folder with a slash at its end, or a URI"
        if self.engine != "ray":
            for name in ("ray_address", "actors", "actor_cpus", "actor_gpus"):
                if getattr(self, name) is not None:
                    yield f"{_option(name)} goes with --engine ray"

    def limits(self) -> Limits:
        """Return the bounds in their own units."""
        from xray_infer.images.limits import Limits

        return Limits(
            max_pixels=round(self.max_megapixels * MEGA),
            max_file_bytes=round(self.max_file_mb * MEGA),
            max_members=self.max_members,
            max_archive_bytes=round(self.max_archive_mb * MEGA),
            max_compression_ratio=self.max_ratio,
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def limit_option(name: str, default: float, text: str) -> Callable[[Command], Command]:
    """Return an option for a bound, a positive number."""
    kind: Any = click.IntRange(1) if isinstance(default, int) else click.FloatRange(0, min_open=True)
    return click.option(name, type=kind, default=default, show_default=True, help=text)


# What the viewer asks for as well.
RUNTIME: Final = click.option(
    "--runtime",
    type=click.Choice(RUNTIME_CHOICES),
    help="Default: onnxruntime, or litert for tflite. auto: the fastest here, measured once and remembered.",
)
MODEL: Final = click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file, or a name from xray-infer --list-models. Default: fine_tuning.",
)
MIN_CONFIDENCE: Final = click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Below it the label is 'uncertain'.",
)
OOD_THRESHOLD: Final = click.option(
    "--ood-threshold",
    type=click.FloatRange(0),
    help="Out-of-distribution score above which an image is rejected; inf: never. Default: the model's own.",
)
DEBUG: Final = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
VERSION: Final = click.version_option(__version__)

OPTIONS: Final = (
    click.argument("source", required=False),
    click.option(
        "--from-list", metavar="FILE", help="Read paths from FILE, one a line; - is standard input."
    ),
    click.option("--recursive/--no-recursive", default=True, show_default=True, help="Search sub-folders."),
    click.option(
        "--out",
        metavar="FILE",
        help="Results: .csv, .jsonl or .parquet; - is JSON Lines on standard output; a folder with a slash "
        "at its end, or a URI, gets shards, for `xray-infer merge`.",
    ),
    click.option("--restart", is_flag=True, help="Start over, and forget what an earlier run has done."),
    click.option("--watch", is_flag=True, help="Keep running, and classify files as they arrive."),
    click.option("--quiet", is_flag=True, help="No progress and no summary."),
    click.option("--format", type=click.Choice(["onnx", "tflite"]), help="Default: onnx."),
    RUNTIME,
    MODEL,
    click.option("--list-models", is_flag=True, help="List the models that ship, and stop."),
    click.option("--json", "as_json", is_flag=True, help="With --list-models: print JSON."),
    click.option(
        "--heatmap",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Draw a heat map over each image, at its own size, in DIR: NAME.heatmap.jpg.",
    ),
    click.option(
        "--heatmap-for",
        type=click.Choice(["predicted", *CLASS_NAMES, "all"]),
        help="The class it speaks for, NAME.covid.heatmap.jpg; all: three files in one colour scale, to "
        "compare. Default: predicted, the most probable.",
    ),
    click.option(
        "--heatmap-format", type=click.Choice(OVERLAY_CHOICES), help="Default: jpeg; png is slower."
    ),
    click.option(
        "--heatmap-method",
        type=click.Choice(METHOD_CHOICES),
        help="gradcam comes with the answer; occlusion is sharper, and 170 passes an image. "
        "Default: gradcam.",
    ),
    click.option(
        "--heatmap-raw", is_flag=True, help="Also keep the maps themselves, of all classes: NAME.heatmap.npz."
    ),
    click.option(
        "--dicom-out",
        type=click.Path(path_type=Path),
        help="Folder for a heat map (Secondary Capture) and a Structured Report per DICOM image.",
    ),
    click.option(
        "--report",
        type=click.Path(path_type=Path),
        metavar="FILE.html",
        help="A page with counts, all images and their heat maps; pictures go to FILE_files.",
    ),
    MIN_CONFIDENCE,
    OOD_THRESHOLD,
    click.option(
        "--workers", type=click.IntRange(1, 256), help="Default: one per processor, four for a store."
    ),
    click.option(
        "--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of each worker's model."
    ),
    click.option(
        "--batch-size", type=click.IntRange(1, 256), default=1, show_default=True, help="Images a pass."
    ),
    click.option(
        "--device",
        type=click.Choice(DEVICE_CHOICES),
        default="cpu",
        show_default=True,
        help="cuda: an NVIDIA GPU, by onnxruntime-gpu; refused where it would not really run there.",
    ),
    click.option(
        "--engine",
        type=click.Choice(ENGINE_CHOICES),
        default="local",
        show_default=True,
        help="ray: shards are made by many processes or machines; needs '.[ray]'.",
    ),
    click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="Of a Ray cluster. Default: RAY_ADDRESS, or this machine.",
    ),
    click.option("--actors", type=click.IntRange(1), help="Of Ray, a model each. Default: what has room."),
    click.option(
        "--actor-cpus",
        type=click.FloatRange(0, min_open=True),
        help="Processors of an actor. Default: 1.",
    ),
    click.option("--actor-gpus", type=click.FloatRange(0), help="GPUs of one. Default: 1 with cuda, else 0."),
    click.option(
        "--shard-size", type=click.IntRange(1), default=1000, show_default=True, help="Images a shard, about."
    ),
    click.option(
        "--shard-format", type=click.Choice(SHARD_FORMATS), default=SHARD_FORMATS[0], show_default=True
    ),
    click.option("--isolate", is_flag=True, help="Decode in processes of their own: a crash costs one file."),
    limit_option(
        "--time-limit", DEFAULT_DECODE_SECONDS, "With --isolate: seconds that decoding one file may take."
    ),
    limit_option("--max-megapixels", DEFAULT_LIMITS.max_pixels / MEGA, "Of one image."),
    limit_option("--max-file-mb", DEFAULT_LIMITS.max_file_bytes / MEGA, "Of one image, unpacked."),
    limit_option("--max-members", DEFAULT_LIMITS.max_members, "Of an archive."),
    limit_option("--max-archive-mb", DEFAULT_LIMITS.max_archive_bytes / MEGA, "Of all members, unpacked."),
    limit_option("--max-ratio", DEFAULT_LIMITS.max_compression_ratio, "Of unpacked over packed size."),
    DEBUG,
    VERSION,
)


def with_options(command: Command) -> Command:
    """Give a command all of OPTIONS, in their order."""
    return reduce(lambda made, option: option(made), reversed(OPTIONS), command)
