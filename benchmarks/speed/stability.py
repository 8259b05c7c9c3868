"""When a measurement of speed should not be trusted, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from xray_infer.benchmarks.results_schema import ProcessRun, Results

MOST_VARIATION: Final = 0.05  # coefficient of variation of the processes' median latency, or throughput
MOST_TAIL: Final = 3.0  # p99 over p50 of single queries
MOST_LOAD: Final = 0.5  # load average a processor, before the run
MOST_MACHINE: Final = 0.10  # variation of the same matrix product over all processes
LEAST_QUERIES: Final = 300  # below, the 99th percentile is that of three queries or fewer


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is doubtful about a row: the reason, the same words for every row, and the row's own figure.

    The worse, the larger is `degree`.
    """

    reason: str
    figure: str
    degree: float


def doubts_of(runs: Sequence[ProcessRun]) -> Iterator[Doubt]:
    """Yield what is doubtful about one row's processes."""
    medians = [float(np.median(run.single_stream_ms)) for run in runs if run.single_stream_ms]
    rates = [
        sum(burst.images for burst in run.offline) / sum(burst.seconds for burst in run.offline)
        for run in runs
        if run.offline
    ]
    for name, values in (("latency", medians), ("throughput", rates)):
        if len(values) > 1 and variation(values) > MOST_VARIATION:
            yield Doubt(
                f"{name} varies by more than {MOST_VARIATION:.0%} between processes, so measure on a quiet "
                "machine",
                f"{variation(values):.0%}",
                variation(values),
            )
    queries = np.concatenate([run.single_stream_ms for run in runs]) if medians else np.array([])
    if len(queries):
        p50, p99 = np.percentile(queries, [50, 99])
        if p99 > MOST_TAIL * p50:
            yield Doubt(
                f"p99 is more than {MOST_TAIL:g} times p50, so something else ran or the machine pauses",
                f"{p99 / p50:.1f} times",
                p99 / p50,
            )
        if len(queries) < LEAST_QUERIES:
            yield Doubt(
                f"p99 is of fewer than {LEAST_QUERIES} queries, so ask for more by --min-queries",
                f"{len(queries)}",
                -len(queries),
            )


def run_warnings(results: Results) -> Iterator[str]:
    """Yield what is doubtful about the run as a whole, a sentence each."""
    load, processors = results.machine.load_before, results.machine.processors
    if results.processes and load is not None and load > MOST_LOAD * processors:
        yield f"the load average was {load:.1f} before the run: stop other work and measure again"
    speeds = [one.product_gmac_s for one in results.processes]
    if len(speeds) > 1 and variation(speeds) > MOST_MACHINE:
        yield (
            f"the machine's own speed varied by {variation(speeds):.0%} during the run: "
            "trust the ratios to the baseline more than the milliseconds"
        )


def variation(values: Sequence[float]) -> float:
    """Return the coefficient of variation: standard deviation over mean."""
    return float(np.std(values, ddof=1) / np.mean(values))
