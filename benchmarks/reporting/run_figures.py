"""All figures of a run, each worked out once."""

from __future__ import annotations

from dataclasses import dataclass

from xray_infer.benchmarks.accuracy.accuracy_figures import (
    Against,
    RowAccuracy,
    accuracy_rows,
    between_methods,
)
from xray_infer.benchmarks.peers.peer_figures import PeerFigures, peer_figures
from xray_infer.benchmarks.results_schema import Results, RowKey
from xray_infer.benchmarks.speed.speed_figures import (
    RowCommand,
    RowSpeed,
    RowStages,
    command_rows,
    speed_rows,
    stage_rows,
)

SHORT: dict[str, str] = {"feature_extraction": "feature extraction", "fine_tuning": "fine-tuning"}


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The figures of a run; what was not measured is empty."""

    results: Results
    accuracy: dict[RowKey, RowAccuracy]
    external: dict[RowKey, RowAccuracy]
    methods: list[tuple[RowKey, Against]]
    speed: dict[RowKey, RowSpeed]
    stages: list[RowStages]
    commands: list[RowCommand]
    peers: list[PeerFigures]

    @property
    def keys(self) -> list[RowKey]:
        """Return the rows in order."""
        return [model.row for model in self.results.models]

    def megabytes(self, key: RowKey) -> str:
        """Return a file's size in units of 10**6 bytes, "" for a row that has answers and no file."""
        size = next(one.size_bytes for one in self.results.models if one.row == key)
        return f"{size / 1e6:.1f}" if size else ""

    def failures(self) -> list[RowKey]:
        """Return the rows whose accuracy is below 99 % of their reference's."""
        return [key for key, one in self.accuracy.items() if one.passes_99 is False]


def gather(results: Results) -> RunFigures:
    """Work out all figures of a run."""
    seed = int(results.options.get("seed", 0))
    return RunFigures(
        results=results,
        accuracy={one.row: one for one in accuracy_rows(results, seed=seed)},
        external={one.row: one for one in accuracy_rows(results, "external", seed=seed)},
        methods=between_methods(results, seed=seed),
        speed={one.row: one for one in speed_rows(results)},
        stages=stage_rows(results),
        commands=command_rows(results),
        peers=peer_figures(results),
    )


def title(key: RowKey) -> str:
    """Return a row's name for people."""
    return f"{SHORT[key.method]}, {key.format} {key.recipe} in {key.runtime}"
