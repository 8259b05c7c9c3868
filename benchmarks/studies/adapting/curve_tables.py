"""The learning curves as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.studies.adapting.curves import SplitResult
from benchmarks.studies.adapting.tuning import TunedResult

TITLE = "# What a few labels of a new hospital are worth"
HEAD = (
    "| domain left out | labels a class | old head | **head fitted** | 20x20 pixels | gain over pixels | "
    "better than pixels | told by cross-validation | told is off by, mean | interval holds the truth |"
)


def curves_text(results: Sequence[SplitResult]) -> str:
    """Return the table of the learning curves: mean and standard deviation over the splits."""
    lines = [HEAD, "|---" * 10 + "|"]
    for domain, labels in dict.fromkeys((one.domain, one.labels) for one in results):
        lines.append(_row([one for one in results if (one.domain, one.labels) == (domain, labels)]))
    return "\n".join(lines)


def _row(of: Sequence[SplitResult]) -> str:
    gains = np.array([one.head - one.pixels for one in of])
    told = [one for one in of if one.told is not None and one.told_interval is not None]
    off = [one.told - one.head for one in told if one.told is not None]
    held = [
        one.told_interval[0] <= one.head <= one.told_interval[1]
        for one in told
        if one.told_interval is not None
    ]
    cells = [
        of[0].domain,
        str(of[0].labels),
        _spread([one.old_head for one in of]),
        f"**{_spread([one.head for one in of])}**",
        _spread([one.pixels for one in of]),
        f"{gains.mean():+.3f} ± {gains.std(ddof=1):.3f}" if len(gains) > 1 else f"{gains.mean():+.3f}",
        f"{int((gains > 0).sum())} of {len(of)}",
        _spread([one.told for one in told if one.told is not None]) if told else "",
        f"{np.mean(off):+.3f}" if told else "",
        f"{sum(held)} of {len(told)}" if told else "",
    ]
    return f"| {' | '.join(cells)} |"


def tuning_text(results: Sequence[TunedResult]) -> str:
    """Return the table of full fine-tuning."""
    lines = [
        "| domain | labels a class | splits | head alone | **all fine-tuned** | gain |",
        "|---" * 6 + "|",
    ]
    for domain, labels in dict.fromkeys((one.domain, one.labels) for one in results):
        of = [one for one in results if (one.domain, one.labels) == (domain, labels)]
        gains = [one.tuned - one.head for one in of]
        head, tuned = _spread([one.head for one in of]), _spread([one.tuned for one in of])
        lines.append(f"| {domain} | {labels} | {len(of)} | {head} | **{tuned}** | {np.mean(gains):+.3f} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{np.mean(values):.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def document(
    curves: Sequence[SplitResult], tuning: Sequence[TunedResult], notes: Sequence[str]
) -> Iterator[str]:
    """Yield the paragraphs of the document."""
    yield TITLE
    yield (
        "Balanced accuracy on films of the same domain that were not labelled, mean and standard deviation "
        "over splits. The old head was fitted to all other domains. Patients and given groups are on one "
        "side of each split."
    )
    yield curves_text(curves)
    if tuning:
        yield (
            "## Full fine-tuning of the same labels\n\nFewer splits, judged on fewer films: all layers but "
            "the normalisation, from the fitted head on. The head alone is on the features of Keras here."
        )
        yield tuning_text(tuning)
    yield from notes
