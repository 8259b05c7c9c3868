"""Methods that are measured: those that are offered, and others by the name of their parameters.

A name takes parameters after colons: `occlusion:48:16:gray` is a window of 48 pixels, 16 apart, filled with
gray; `rise:400:7:blur` 400 masks of 7 x 7 cells; `shifted:4` 4 x 4 shifts. `:logit` at the end takes the
logit for the score instead of the log-odds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from xray_infer.benchmarks.explain.rise import Rise
from xray_infer.benchmarks.explain.shifted import Shifted
from xray_infer.errors import DataError
from xray_infer.outputs.heatmaps.fills import FILLS
from xray_infer.outputs.heatmaps.methods import METHODS, Method
from xray_infer.outputs.heatmaps.occlusion import ClassScore, Occlusion, log_odds, logits

SCORES: Final[Mapping[str, ClassScore]] = {"log-odds": log_odds, "logit": logits}


def _occlusion(window: str, stride: str, fill: str, score: str = "log-odds") -> Occlusion:
    return Occlusion(int(window), int(stride), fill, SCORES[score])


def _rise(masks: str, grid: str, fill: str, score: str = "log-odds") -> Rise:
    return Rise(int(masks), int(grid), fill, score=SCORES[score])


def _shifted(steps: str) -> Shifted:
    return Shifted(int(steps))


MAKERS: Final[Mapping[str, Callable[..., Occlusion | Rise | Shifted]]] = {
    "occlusion": _occlusion,
    "rise": _rise,
    "shifted": _shifted,
}


def find_method(name: str) -> Method:
    """Return the method of a name. Raises DataError."""
    if name in METHODS:
        return METHODS[name]
    kind, *parameters = name.split(":")
    try:
        made = MAKERS[kind](*parameters)
        if getattr(made, "fill", "gray") not in FILLS:
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        names = ", ".join((*METHODS, "occlusion:WINDOW:STRIDE:FILL", "rise:MASKS:GRID:FILL", "shifted:STEPS"))
        raise DataError(f"no method {name!r}; there are {names}; fills are {', '.join(FILLS)}") from error
    return Method(
        name,
        lambda classified: made.explain(classified.run, classified.input),
        unit="log-odds" if getattr(made, "score", logits) is log_odds else "logit",
        passes=made.passes,
    )
