"""Which baseline processes stand nearest to a row's, so that what the machine did meanwhile cancels.

In a ratio to a baseline that was measured just before or after, drift and the neighbours' load fall out.
Each baseline process is used for one process of a row only: shared, it would make the ratios alike, and
their scatter would tell too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

# More of them make the ratio steadier, but lie further away in time.
MOST_NEAR: Final = 4


def nearest(turns: Sequence[int], baselines: Sequence[int]) -> list[list[int]] | None:
    """Return for each process of a row the indices of one to MOST_NEAR baseline processes of its own.

    `turns` and `baselines` are places in the run. Baselines are handed out in rounds, one to each process,
    so that the sum of distances is the least. None where there are fewer baselines than processes.
    """
    given: list[list[int]] = [[] for _ in turns]
    left = list(range(len(baselines)))
    for _ in range(min(MOST_NEAR, len(baselines) // max(1, len(turns)))):
        distance = np.abs(np.subtract.outer(turns, [baselines[index] for index in left]))
        for process, place in zip(*linear_sum_assignment(distance), strict=True):
            given[process].append(left[place])
        used = {index for mine in given for index in mine}
        left = [index for index in left if index not in used]
    return given if all(given) else None
