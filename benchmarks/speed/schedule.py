"""Which process runs when: every row between two processes of its baseline, B a B b B c B, in every round.

So a machine that slows down for a while slows a row and its baselines alike, and their ratio stands. The
order of rows is drawn anew in each round, so that no row always follows the same neighbour.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xray_infer.benchmarks.records.schema import RowKey
from xray_infer.benchmarks.rows import baseline_of
from xray_infer.model.manifest import METHODS


@dataclass(frozen=True, slots=True)
class Turn:
    """One process: its row, its round from 0, its place in the run, and whether it runs as a baseline."""

    row: RowKey
    round: int
    turn: int
    baseline: bool


def plan(rows: Sequence[RowKey], *, rounds: int, seed: int) -> list[Turn]:
    """Return all processes in order. A method whose only row is its baseline gets one process a round."""
    turns: list[Turn] = []
    for number in range(rounds):
        generator = random.Random(f"{seed} {number}")
        methods = [method for method in METHODS if any(row.method == method for row in rows)]
        generator.shuffle(methods)
        for method in methods:
            for row, baseline in _interleaved([row for row in rows if row.method == method], generator):
                turns.append(Turn(row, number, len(turns), baseline))
    return turns


def _interleaved(rows: Sequence[RowKey], generator: random.Random) -> Iterator[tuple[RowKey, bool]]:
    base = baseline_of(rows[0], rows)
    others = [row for row in rows if row != base]
    generator.shuffle(others)
    yield base, True
    for row in others:
        yield row, False
        yield base, True
