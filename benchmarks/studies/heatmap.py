"""What heat maps cost: in the forward pass, in drawing, stage by stage, and in the whole command."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.folder_runs import WHOLE, Speeds, command_for, linked_images, note, parts_table
from benchmarks.studies.rounds import spread
from benchmarks.studies.study_command import folder_argument, rounds_option, study
from benchmarks.studies.without_maps import POOLED
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.processes import run_command
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError, ImageError
from xray_infer.images.decode import full_size, prepare
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.choice import shipped_model
from xray_infer.model.runtime_table import RUNTIMES, SUFFIXES
from xray_infer.model.runtimes import Session, find_model
from xray_infer.outputs.heatmaps.blend import blend, upsample
from xray_infer.outputs.heatmaps.caption import Style
from xray_infer.outputs.heatmaps.methods import METHODS, heatmaps_for
from xray_infer.outputs.heatmaps.overlay import ENCODERS, caption, draw_overlay, encode
from xray_infer.outputs.naming import write_file
from xray_infer.run.results import OK, Classified, RowMaker, Rules
from xray_infer.run.sources.folder import local_source
from xray_infer.terminal import Report, say

CALLS: Final = 20  # of each file, in turn, in a round
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    WHOLE: (),
    **{
        f"{WHOLE} --heatmap {' '.join(options)}".rstrip(): ("--heatmap", "{scratch}/maps", *options)
        for options in (
            (),
            ("--heatmap-format", "png"),
            ("--heatmap-raw",),
            ("--heatmap-for", "all"),
        )
    },
}


@dataclass(frozen=True, slots=True)
class Passes:
    """Milliseconds of a forward pass, one image on one thread, with and without maps; one figure a round."""

    file: str
    runtime: str
    with_ms: list[float] = field(default_factory=list)
    without_ms: list[float] = field(default_factory=list)


def compare_passes(rounds: int, report: Report) -> list[Passes]:
    """Time the shipped model's files in every runtime, as they are and without their maps, call by call."""
    found: list[Passes] = []
    sessions: list[tuple[Session, Session]] = []
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as folder:
        for suffix, format in SUFFIXES.items():
            model = shipped_model(format)
            without = Path(folder, f"without{suffix}")
            without.write_bytes(POOLED[suffix](model.path))
            for name in (one.name for one in model.runtimes() if one.installed()):
                pair = (model.open(runtime=name), find_model(without).open(runtime=name))
                image = _noise(pair[0])
                _check_same(*pair, image)
                found.append(Passes(model.path.name, RUNTIMES[name].installed()))
                sessions.append(pair)
    for number in range(rounds + 1):
        report(f"forward pass: round {number} of {rounds}" if number else "forward pass: warm-up")
        for passes, pair in zip(found, sessions, strict=True):
            image = _noise(pair[0])
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(CALLS):
                for session, taken in zip(pair, times, strict=True):
                    taken.append(_ms(partial(session.run, image)))
            if number:
                passes.with_ms.append(statistics.median(times[0]))
                passes.without_ms.append(statistics.median(times[1]))
    return found


def _noise(session: Session) -> NDArray[np.uint8]:
    """Return an image of noise for a session."""
    return np.random.default_rng(0).integers(0, 256, (1, *session.manifest.input_shape)).astype(np.uint8)


def _check_same(first: Session, second: Session, image: np.ndarray) -> None:
    """Raise DataError unless both give the same answer; the order of a float sum may differ."""
    one, other = (session.run(image).probabilities for session in (first, second))
    if not np.allclose(one, other, atol=1e-4):
        raise DataError(f"without its maps the file answers otherwise: {one}, {other}")


def passes_table(found: Sequence[Passes]) -> str:
    """Return Markdown; the extra time is compared round by round."""
    lines = [
        "| file | runtime | ms without maps | ms with them | extra time, % (min-max) |",
        "|---" * 5 + "|",
    ]
    for one in found:
        extra = [100 * (a / b - 1) for a, b in zip(one.with_ms, one.without_ms, strict=True)]
        lines.append(
            f"| {one.file} | {one.runtime} | {spread(one.without_ms, 2)} | {spread(one.with_ms, 2)} "
            f"| {spread(extra, 1)} |"
        )
    return "\n".join(lines)


@dataclass(slots=True)
class Stages:
    """Milliseconds by stage, of all images and of the largest alone, one figure a round."""

    images: int = 0
    megapixels: float = 0.0
    largest_megapixels: float = 0.0
    all_ms: dict[str, list[float]] = field(default_factory=dict)
    largest_ms: dict[str, list[float]] = field(default_factory=dict)
    file_kb: dict[str, float] = field(default_factory=dict)


def measure_stages(folder: Path, *, rounds: int, report: Report) -> Stages:
    """Draw an overlay for each image of the folder that gets an answer, on one thread, stage by stage."""
    cv2.setNumThreads(1)
    session = shipped_model("onnx").open()
    stages = Stages()
    largest = 0
    for number in range(rounds + 1):
        report(f"drawing: round {number} of {rounds}" if number else "drawing: warm-up")
        sums: dict[str, float] = {}
        stages.images, stages.megapixels = 0, 0.0
        with tempfile.TemporaryDirectory(prefix="xray-bench-") as scratch:
            for classified in _classified(folder, session):
                size = classified.pixels.size
                times, bytes_by_format = _draw(classified, Path(scratch))
                stages.images += 1
                stages.megapixels += size / 1e6
                for name, taken in times.items():
                    sums[name] = sums.get(name, 0.0) + taken
                if number == 0:
                    largest = max(largest, size)
                    for name, count in bytes_by_format.items():
                        stages.file_kb[name] = stages.file_kb.get(name, 0.0) + count / 1000
                elif size == largest:
                    for name, taken in times.items():
                        stages.largest_ms.setdefault(name, []).append(taken)
        if number:
            for name, taken in sums.items():
                stages.all_ms.setdefault(name, []).append(taken)
    stages.largest_megapixels = largest / 1e6
    return stages


def _classified(folder: Path, session: Session) -> Iterator[Classified]:
    """Yield the folder's images with their answers, as the engine does. Raises DataError for none."""
    manifest = session.manifest
    maker = RowMaker(manifest.name, "", session.runtime, Rules(), manifest.preprocessing_version)
    none = True
    for item in local_source(folder):
        try:
            data = item.read(DEFAULT_LIMITS)
            prepared = prepare(data, manifest.preprocessing, limits=DEFAULT_LIMITS, keep_pixels=True)
        except ImageError:
            continue
        output = session.run(prepared.input[None])
        row = maker.judged(item.name, output.probabilities[0], None, prepared.area)
        if row.status == OK and prepared.pixels is not None:
            none = False
            yield Classified(item, data, prepared.pixels, prepared.input, row, output.cam[0], session.run)
    if none:
        raise DataError(f"{folder}: no image that can be read")


def _draw(classified: Classified, scratch: Path) -> tuple[dict[str, float], dict[str, int]]:
    """Return one image's milliseconds by stage, and the bytes of its files by format."""
    pixels, row, method = classified.pixels, classified.row, METHODS["gradcam"]
    data, side = classified.data, Preprocessing(row.preprocessing_version, len(classified.input)).decode_side
    ms = {"decode a large JPEG at full size": _ms(lambda: full_size(pixels, data, side=side))}
    (heatmap,) = heatmaps_for("predicted", method.explain(classified), method, row)
    height, width = pixels.shape
    if heatmap.peak > 0:
        heat = upsample(heatmap.values, heatmap.scale, height)
        canvas = np.empty((height, width, 3), np.uint8)
        ms["up-sample"] = _ms(lambda: upsample(heatmap.values, heatmap.scale, height))
        ms["blend"] = _ms(lambda: blend(pixels, heat, canvas))
    ms["bar and text"] = _ms(lambda: caption(Style.beside(pixels.shape), heatmap, row))
    ms["all of the drawing"] = _ms(lambda: draw_overlay(pixels, heatmap, row))
    overlay = draw_overlay(pixels, heatmap, row)
    sizes = {}
    for format in ENCODERS:
        ms[f"encode {format}"] = _ms(partial(encode, overlay, format))
        data = encode(overlay, format)
        ms[f"write {format}"] = _ms(partial(write_file, scratch / "overlay", data))
        sizes[format] = len(data)
    return ms, sizes


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def stages_table(stages: Stages) -> str:
    """Return Markdown, with the size of the files."""
    lines = [
        f"| stage, one thread | ms an image, median (min-max) | ms a megapixel "
        f"| ms of the largest, {stages.largest_megapixels:.1f} megapixels |",
        "|---" * 4 + "|",
    ]
    for name, sums in stages.all_ms.items():
        each = [taken / stages.images for taken in sums]
        per_megapixel = [taken / stages.megapixels for taken in sums]
        lines.append(
            f"| {name} | {spread(each, 2)} | {spread(per_megapixel, 2)} "
            f"| {spread(stages.largest_ms.get(name, [0.0]), 1)} |"
        )
    sizes = ", ".join(f"{name} {total / stages.images:.0f} KB" for name, total in stages.file_kb.items())
    mean = stages.megapixels / stages.images
    return "\n".join([*lines, "", f"{stages.images} images of {mean:.2f} megapixels in the mean; {sizes}."])


def compare_commands(folder: Path, *, rounds: int, report: Report) -> dict[str, Speeds]:
    """Run the folder command with and without heat maps, in turn, `rounds` times after a warm-up."""
    speeds = {name: Speeds() for name in COMMANDS}
    for number in range(rounds + 1):
        report(f"commands: round {number} of {rounds}" if number else "commands: warm-up")
        for name, options in COMMANDS.items():
            with tempfile.TemporaryDirectory() as scratch:
                out = Path(scratch, "results.csv")
                done = run_command(command_for(folder, out, options))
                if number:
                    note(speeds[name], done, out)
    return speeds


@study("heatmap")
@folder_argument
@click.option("--images", type=click.IntRange(1), default=88, show_default=True, help="Links to FOLDER's.")
@rounds_option(5)
def main(folder: Path, images: int, rounds: int) -> None:
    """Time what --heatmap adds on FOLDER's images: to the forward pass, in drawing, to the command."""
    with linked_images(folder, images) as many:
        passes = compare_passes(rounds, say)
        stages = measure_stages(many, rounds=rounds, report=say)
        speeds = compare_commands(many, rounds=rounds, report=say)
    click.echo("\n\n".join([passes_table(passes), stages_table(stages), parts_table(speeds)]))
    click.echo(
        f"\nWithout maps: the same file, its last feature map averaged before the head. {images} images, "
        f"{rounds} interleaved rounds. {describe_machine()} {RESEARCH_NOTICE}"
    )


if __name__ == "__main__":
    main()
