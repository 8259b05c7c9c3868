"""Results of a made-up benchmark with every row that ships, complete enough for tables, plots and page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from xray_infer.benchmarks.peers.registry import SHIPPED
from xray_infer.benchmarks.reporting.bench_figures import BenchFigures, gather
from xray_infer.benchmarks.results_schema import (
    SCHEMA,
    Burst,
    CommandRun,
    Guess,
    ImageSet,
    LimitRun,
    Machine,
    ModelFile,
    Peer,
    PeerRun,
    ProcessRun,
    Results,
    RowAnswers,
    RowKey,
    SourceProbe,
    StageRun,
    Trained,
)
from xray_infer.classes import CLASS_NAMES
from xray_infer.study.domains import DomainAnswers, LeaveOneDomainOut, judge_left_out
from xray_infer.study.metrics import softmax
from xray_infer.study.temperature import at_temperature

METHODS = ("feature_extraction", "fine_tuning")
# Format, recipe, runtime, MB, ms an image, noise of the logits beside Keras's.
FILES = (
    ("keras", "fp32", "keras", 28.4, 93.0, 0.0),
    ("onnx", "fp32", "onnxruntime", 27.9, 41.0, 1e-6),
    ("onnx", "fp32", "openvino", 27.9, 38.0, 1e-6),
    ("onnx", "fp16", "onnxruntime", 14.1, 41.3, 1e-3),
    ("onnx", "fp16", "openvino", 14.1, 38.1, 1e-3),
    ("onnx", "int8-dynamic", "onnxruntime", 7.4, 49.0, 0.05),
    ("onnx", "int8-dynamic", "openvino", 7.4, 44.0, 0.05),
    ("onnx", "int8-static", "onnxruntime", 7.7, 14.0, 0.12),
    ("onnx", "int8-static", "openvino", 7.7, 12.5, 0.12),
    ("tflite", "fp32", "litert", 27.9, 42.0, 1e-6),
    ("tflite", "fp16", "litert", 14.0, 42.2, 1e-3),
    ("tflite", "int8-dynamic", "litert", 7.4, 16.0, 0.06),
    ("tflite", "int8-static", "litert", 7.6, 14.8, 0.12),
    ("tflite", "int8x16", "litert", 7.6, 820.0, 1.6),
)
SOURCES = ("bimcv", "cohen", "rsna", "ricord", "chexpert")
PROCESSES = 5
IMAGES = 60  # enough for tests of form
STAGES = {"decode": 9.0, "preprocess": 1.5, "infer": 1.0, "heat map": 6.0, "write": 0.4}


def bench_results(seed: int = 0, *, processes: int = PROCESSES, images: int = 337) -> Results:
    """Return a complete run; the least accurate row, int8x16, fails the 99 % rule."""
    rng = np.random.default_rng(seed)
    keys = [RowKey(method, *one[:3]) for method in METHODS for one in FILES]
    test, external = image_set(rng, "test", images), image_set(rng, "external", 60)
    return Results(
        schema=SCHEMA,
        command=["xray-bench", "run", "--data", "a folder", "--out", "out"],
        started="2026-01-01T00:00:00+00:00",
        seconds=3600.5,
        version="0.1.0",
        options={"seed": seed, "effort": {"rounds": processes, "seconds": 1.5, "queries": 64}},
        machine=Machine(
            processor="A processor of no name @ 2.00GHz",
            flags=["avx2", "avx512f", "avx512_vnni"],
            processors=2,
            affinity=[0, 1],
            quota=None,
            memory_mb=7945.0,
            system="Linux 6.1",
            governor=None,
            energy="unavailable",
            load_before=1.4,
            versions={"python": "3.11.7", "onnxruntime": "1.32.0", "openvino": "2026.4.1"},
        ),
        gmac=2.83,
        models=[
            ModelFile(
                row=key,
                file=f"{key.method}.{key.recipe}.{key.format}",
                sha256=f"{place:064x}",
                size_bytes=int(1e6 * FILES[place % len(FILES)][3]),
                temperature=1.4,
                data_digest="ab",
            )
            for place, key in enumerate(keys)
        ],
        sets=[test, external],
        answers=[*answers(rng, test, ("all", "border", "centre")), *answers(rng, external, ("all",))],
        probes=[probe(rng, test, method) for method in METHODS],
        guesses=[
            Guess("the commonest class", images, int(0.44 * images)),
            Guess("the commonest class of the source", images, int(0.77 * images)),
            Guess("facts of the file", images, int(0.81 * images)),
            Guess("a thumbnail of 8 x 8 pixels", images, int(0.63 * images)),
        ],
        trained=Trained(
            {
                kind: {method: [base + 0.02 * rng.normal() for _ in range(3)] for method in METHODS}
                for kind, base in (("group", 0.8), ("random", 0.88), ("border", 0.7), ("centre", 0.76))
            },
            left_out_domains(),
        ),
        **speed(rng, keys, processes),
    )


def made_up() -> Results:
    """Return a complete run that is quick to evaluate."""
    return bench_results(processes=2, images=IMAGES)


def all_of_it(results: Results) -> Results:
    """Return the same."""
    return results


@cache
def figures_of(change: Callable[[Results], Results]) -> BenchFigures:
    """Return the figures of `made_up()`, changed: seconds of resampling, once a process."""
    return gather(change(made_up()))


def left_out_domains() -> LeaveOneDomainOut:
    """Return two domains of two classes each that were left out of both methods' trainings."""
    rng = np.random.default_rng(3)
    methods = {
        method: judge_left_out(
            [
                DomainAnswers(domain, np.arange(40) % 2, rng.normal(size=(40, 3)), [""] * 40, 1.5)
                for domain in ("east", "west")
            ],
            CLASS_NAMES,
        )
        for method in METHODS
    }
    return LeaveOneDomainOut("domain", methods, {"north": "no other domain has validation images"}, 0)


def accuracy_only(results: Results) -> Results:
    """Return what `xray-bench accuracy` would have found."""
    return replace(
        results, processes=[], stages=[], commands=[], limits=[], peers=[], peer_runs=[], trained=None
    )


def speed_only(results: Results) -> Results:
    """Return what `xray-bench latency` would have found: no answers, no Offline."""
    runs = [replace(one, offline=[]) for one in results.processes]
    none: dict[str, Any] = {
        name: [] for name in ("sets", "answers", "probes", "guesses", "stages", "commands", "peers")
    }
    return replace(
        results,
        processes=runs,
        **none,
        peer_runs=[],
        trained=None,
    )


def few_rows(results: Results) -> Results:
    """Return a run of four files of each method, one of each format and the one that fails the 99 % rule."""
    some = {("keras", "fp32"), ("onnx", "fp32"), ("tflite", "int8-static"), ("tflite", "int8x16")}

    def kept(row: RowKey) -> bool:
        return (row.format, row.recipe) in some and row.runtime != "openvino"

    parts: dict[str, Any] = {
        name: [one for one in getattr(results, name) if kept(one.row)]
        for name in ("models", "answers", "processes", "stages", "commands")
    }
    return replace(results, **parts)


def single_row(results: Results) -> Results:
    """Return a run of one file in one runtime, in one process."""
    key = RowKey("fine_tuning", "onnx", "fp32", "onnxruntime")
    parts: dict[str, Any] = {
        name: [one for one in getattr(results, name) if one.row == key]
        for name in ("models", "answers", "stages", "commands")
    }
    first = [one for one in results.processes if one.row == key][:1]
    return replace(results, **parts, processes=first, probes=[], peers=[], peer_runs=[], trained=None)


def image_set(rng: np.random.Generator, name: str, images: int) -> ImageSet:
    """Return labelled images in groups of up to three; a source has mostly one class."""
    labels = rng.choice(3, images, p=[0.3, 0.26, 0.44])
    lean = {0: [0.5, 0.3, 0, 0.2, 0], 1: [0, 0.1, 0.6, 0, 0.3], 2: [0.1, 0, 0.5, 0, 0.4]}
    return ImageSet(
        name=name,
        digest="cd",
        images=[f"{name}-{place:03d}.png" for place in range(images)],
        labels=labels.tolist(),
        groups=["" if place % 5 == 0 else f"{name}{place // 3}" for place in range(images)],
        sources=[str(rng.choice(SOURCES, p=lean[int(label)])) for label in labels],
        domains=[("east", "west", "")[place % 3] for place in range(images)],
    )


def answers(rng: np.random.Generator, images: ImageSet, regions: tuple[str, ...]) -> list[RowAnswers]:
    """Let the rows of a method say nearly the same; a region tells less than the whole image."""
    labels, found = np.array(images.labels), []
    for place, method in enumerate(METHODS):
        for region in regions:
            strength = {"all": 3.6, "border": 1.4, "centre": 2.4}[region] + 0.7 * place
            logits = rng.normal(0, 1.6, (len(labels), 3)) + strength * np.eye(3)[labels]
            for model_format, recipe, runtime, _, _, noise in FILES:
                own: Any = softmax(logits + noise * rng.normal(size=logits.shape))
                row = RowKey(method, model_format, recipe, runtime)
                found.append(RowAnswers(row, images.name, region, at_temperature(own, 1.4).tolist()))
    return found


def probe(rng: np.random.Generator, images: ImageSet, method: str) -> SourceProbe:
    """Return a probe that names the source of nine images in ten."""
    named = [one if rng.random() < 0.9 else str(rng.choice(SOURCES)) for one in images.sources]
    within = {"covid": (0.91, 0.52, 101), "pneumonia": (0.86, 0.61, 88), "normal": (0.93, 0.49, 148)}
    return SourceProbe(
        method, "1024 pooled features", "logistic regression", list(SOURCES), images.sources, named, within
    )


def speed(rng: np.random.Generator, keys: list[RowKey], processes: int) -> dict[str, list[Any]]:
    """Measure a made-up machine: baselines before each third row, and after the last."""
    found: dict[str, list[Any]] = {
        name: [] for name in ("processes", "stages", "commands", "limits", "peer_runs")
    }
    ms = {key: FILES[place % len(FILES)][4] for place, key in enumerate(keys)}
    for number in range(processes):
        turn = 0
        for method in METHODS:
            base = RowKey(method, "onnx", "fp32", "onnxruntime")
            own = [key for key in keys if key.method == method and key != base]
            for place, key in enumerate(own):
                for row in [base, key] if place % 3 == 0 else [key]:
                    found["processes"].append(process(rng, row, ms[row], number, turn, row == base))
                    turn += 1
            found["processes"].append(process(rng, base, ms[base], number, turn, True))
        for key in keys:
            if key.format == "keras" or key.recipe == "int8x16":
                continue
            stages = {
                name: ((ms[key] if name == "infer" else mean) * rng.lognormal(0, 0.1, 20)).tolist()
                for name, mean in STAGES.items()
            }
            found["stages"].append(StageRun(key, number, turn, stages))
            seconds = 0.7 + 0.6e-3 * 88 * (ms[key] + 10) * rng.lognormal(0, 0.03)
            found["commands"].append(CommandRun(key, number, turn, 88, seconds, 300 + 10 * rng.random()))
        found["limits"].append(LimitRun(number, 88 + rng.normal(), 330 + rng.normal()))
        for name, rate in PEERS.items():
            rate = rate * rng.lognormal(0, 0.03)
            run = PeerRun(name, number, turn, 88, 88 / rate + 2.2, 2.2, rate, 600.0)
            found["peer_runs"].append(run)
    found["peers"] = [
        *(Peer(name, "the same weights", "1.0", "", {"largest dp": "1e-6"}) for name in PEERS),
        Peer("timm DenseNet121", "other weights, same network", "", "timm is not installed", {}),
    ]
    return found


PEERS = {
    SHIPPED: 71.0,
    "xray-infer, fp32": 24.0,
    "plain Keras, predict in batches": 11.0,
    "ONNX Runtime in a loop": 19.0,
}


def process(
    rng: np.random.Generator, row: RowKey, ms: float, number: int, turn: int, baseline: bool
) -> ProcessRun:
    """Return one process; now and then a query waits."""
    own = ms * rng.lognormal(0, 0.02)
    queries = own * rng.lognormal(0, 0.03, 70) * np.where(rng.random(70) < 0.03, 1.6, 1)
    return ProcessRun(
        row=row,
        round=number,
        turn=turn,
        baseline=baseline,
        load_s=0.3 + rng.random() / 10,
        first_result_s=0.9 + rng.random() / 10,
        single_stream_ms=queries.tolist(),
        offline=[Burst(4, 64, 64 * own / 1150), Burst(4, 64, 64 * own / 1160)],
        peak_mb=190 + rng.random(),
        energy_j=None,
        energy_images=128,
        product_gmac_s=44 * rng.lognormal(0, 0.02),
    )
