"""How long each scenario is measured: by time and by number, both at least.

MLPerf's inference rules ask for 600 s and 1,024 queries of SingleStream, whose figure is the 90th
percentile, and for 600 s and 24,576 images of Offline (Reddi et al. 2020; the scenario table of MLCommons'
inference policies). With 28 rows that is ten hours a round, so the presets are shorter; what they lose in
length they gain in fresh processes, which MLPerf asks for none of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SINGLE, OFFLINE = "single", "offline"
SCENARIOS: Final = (SINGLE, OFFLINE)


@dataclass(frozen=True, slots=True)
class Effort:
    """`rounds` of fresh processes; in each, both scenarios run for `seconds` and `queries` images at least.

    A row so slow that its queries would take longer than `most_seconds` gives fewer.
    """

    rounds: int
    seconds: float
    queries: int
    most_seconds: float
    warm_up: int = 3


PRESETS: Final[Mapping[str, Effort]] = {
    "quick": Effort(rounds=2, seconds=0.4, queries=16, most_seconds=4),
    "full": Effort(rounds=5, seconds=1.0, queries=64, most_seconds=12),
    "mlperf": Effort(rounds=3, seconds=600, queries=1024, most_seconds=1800),
}
