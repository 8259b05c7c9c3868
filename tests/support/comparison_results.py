"""Results of a made-up benchmark: a seeded machine with drift, restless and now and then slow processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xray_infer.benchmarks.results_schema import (
    SCHEMA,
    Burst,
    CommandRun,
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
    StageRun,
)

BASELINE = RowKey("fine_tuning", "onnx", "fp32", "onnxruntime")
ROWS = (
    *(
        RowKey("fine_tuning", "onnx", recipe, "onnxruntime")
        for recipe in ("fp16", "int8-static", "int8-dynamic")
    ),
    *(RowKey("fine_tuning", "onnx", recipe, "openvino") for recipe in ("fp32", "fp16", "int8-static")),
    *(RowKey("fine_tuning", "tflite", recipe, "litert") for recipe in ("fp32", "fp16", "int8-static")),
)
STAGES = {"decode": 12.0, "preprocess": 2.0, "infer": 40.0, "heat map": 6.0, "write": 0.3}
MS = 40.0


@dataclass(frozen=True)
class World:
    """What the made-up machine does: standard deviations are of logarithms.

    `process` is between processes, `drift` of the slope over the run, `round` between rounds, `slow` the
    share of processes that are slow for no reason. `machine` multiplies all times, products included; `times`
    multiplies those of single rows, `stages` those of single stages, `extra_ms` is added to stages.
    """

    seed: int = 0
    rounds: int = 5
    process: float = 0.02
    drift: float = 0.05
    round: float = 0.02
    slow: float = 0.0
    machine: float = 1.0
    rows: tuple[RowKey, ...] = ROWS
    times: Mapping[RowKey, float] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    extra_ms: Mapping[str, float] = field(default_factory=dict)
    commands: float = 1.0
    queries: int = 120


def make_results(world: World = World(), **changes: Any) -> Results:  # noqa: B008  frozen
    """Measure a made-up world; `changes` are of the Results. Every row runs between two baselines."""
    rng = np.random.default_rng(world.seed)
    total = world.rounds * (2 * len(world.rows) + 1)
    slope = world.drift * rng.normal()
    usual = rng.normal(0, world.round, world.rounds)
    processes, stages, commands, limits, peers = [], [], [], [], []
    turn = 0

    def now(number: int) -> float:
        """The machine's slowness at this turn: a factor."""
        return world.machine * float(np.exp(slope * (turn / total - 0.5) + usual[number]))

    def own() -> float:
        restless = float(np.exp(rng.normal(0, world.process)))
        return restless * (float(rng.uniform(1.1, 1.5)) if rng.random() < world.slow else 1.0)

    def process(row: RowKey, number: int, *, baseline: bool) -> ProcessRun:
        fate = now(number) * own() * world.times.get(row, 1.0)
        queries = MS * fate * np.exp(rng.normal(0, 0.04, world.queries))
        return ProcessRun(
            row=row,
            round=number,
            turn=turn,
            baseline=baseline,
            load_s=0.5 * fate * float(np.exp(rng.normal(0, 0.02))),
            first_result_s=0.9 * fate * float(np.exp(rng.normal(0, 0.02))),
            single_stream_ms=[float(one) for one in queries],
            offline=[
                Burst(batch, 64, 64 / rate * fate * float(np.exp(rng.normal(0, 0.01))))
                for batch, rate in ((1, 24.0), (4, 30.0))
            ],
            peak_mb=180.0 * float(np.exp(rng.normal(0, 0.002))),
            energy_j=None,
            energy_images=0,
            product_gmac_s=40.0 / now(number) * float(np.exp(rng.normal(0, 0.01))),
        )

    for number in range(world.rounds):
        for row in (None, *world.rows):
            if row is not None:
                processes.append(process(row, number, baseline=False))
                turn += 1
            processes.append(process(BASELINE, number, baseline=True))
            turn += 1
        fate = now(number)
        times = {
            name: [
                float(one)
                for one in fate * own() * ms * world.stages.get(name, 1.0) * np.exp(rng.normal(0, 0.03, 20))
                + world.extra_ms.get(name, 0.0)
            ]
            for name, ms in STAGES.items()
        }
        stages.append(StageRun(BASELINE, number, turn, times))
        commands.append(CommandRun(BASELINE, number, turn, 100, 4.0 * fate * own() * world.commands, 250.0))
        for name in ("xray-infer", "plain Keras"):
            seconds = 4.0 * fate * own()
            peers.append(PeerRun(name, number, turn, 100, seconds, 0.5 * fate, 110 / seconds, 250.0))
        limits.append(LimitRun(number, 90.0 / fate, 130.0 / fate))
    return replace(
        Results(
            schema=SCHEMA,
            command=["xray-bench"],
            started="2026-01-01T00:00:00+00:00",
            seconds=60.0,
            version="0",
            options={"rounds": world.rounds},
            machine=Machine(
                processor="cpu",
                flags=["avx2"],
                processors=2,
                affinity=[0, 1],
                quota=None,
                memory_mb=8000.0,
                system="Linux",
                governor=None,
                energy="unavailable",
                load_before=0.1,
                versions={"onnxruntime": "1.32"},
            ),
            gmac=2.87,
            models=[ModelFile(row, "a.onnx", "00", 28_000_000, 1.0, "") for row in (BASELINE, *world.rows)],
            processes=processes,
            stages=stages,
            commands=commands,
            limits=limits,
            peers=[Peer("plain Keras", "a script", "1", "")],
            peer_runs=peers,
        ),
        **changes,
    )


def image_set(count: int, *, name: str = "test", seed: int = 0) -> ImageSet:
    """Images in pairs of one group, with labels drawn at random."""
    labels = np.random.default_rng(seed).integers(0, 3, count)
    images = [f"{seed}-{index}.png" for index in range(count)]
    return ImageSet(
        name=name,
        digest=f"{seed}:{count}",
        images=images,
        labels=[int(one) for one in labels],
        groups=[f"patient {index // 2}" for index in range(count)],
        sources=["a"] * count,
    )


def answers(images: ImageSet, *, right: int, row: RowKey = BASELINE, region: str = "all") -> RowAnswers:
    """RowAnswers of which the first `right` are right and the others wrong."""
    told = [label if index < right else (label + 1) % 3 for index, label in enumerate(images.labels)]
    probabilities = [[0.8 if place == one else 0.1 for place in range(3)] for one in told]
    return RowAnswers(row, images.name, region, probabilities)
