"""What `xray-train adapt` tells a person of a head: its figure, what it stands beside, and what to doubt."""

from __future__ import annotations

from collections.abc import Iterator

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Adaptation
from xray_infer.study.intervals import percent, points

CHANCE = "guessing"
OURS = "this head, cross-validated"


def adapt_text(manifest: ModelManifest, adaptation: Adaptation) -> str:
    """Return the report of a file, or of one that was not written."""
    count = sum(adaptation.films.values())
    lines = [
        f"{len(adaptation.films)} classes, {count} films of {adaptation.groups} patients or groups; "
        f"the rest of the file is {adaptation.parent}",
        *_figures(adaptation),
        "",
        *_classes(adaptation),
        "",
        *_limits(manifest, adaptation),
        *(f"warning: {doubt}" for doubt in adaptation.doubts),
        RESEARCH_NOTICE,
    ]
    return "\n".join(lines)


def _figures(adaptation: Adaptation) -> Iterator[str]:
    """Yield the table of balanced accuracies."""
    names = (OURS, *adaptation.beside, CHANCE)
    width = max(map(len, names))
    yield f"{'':<{width}}  balanced accuracy (95 %)   this head is better by, points"
    ours = adaptation.balanced_accuracy
    yield f"{OURS:<{width}}  {percent(ours.value, ours.interval)}"
    for name, figure in adaptation.beside.items():
        gain = adaptation.gains[name]
        shown = percent(figure.value, figure.interval)
        yield f"{name:<{width}}  {shown:<25}  {points(gain.value, gain.interval)}"
    yield f"{CHANCE:<{width}}  {percent(1 / len(adaptation.films))}"


def _classes(adaptation: Adaptation) -> Iterator[str]:
    """Yield the table of the classes."""
    width = max(len("class"), *map(len, adaptation.films))
    yield f"{'class':<{width}}  films  recall"
    for name, count in adaptation.films.items():
        yield f"{name:<{width}}  {count:>5}  {percent(adaptation.recalls[name])}"


def _limits(manifest: ModelManifest, adaptation: Adaptation) -> Iterator[str]:
    """Yield from where on a label is said, and which films are refused."""
    said = f"{percent(adaptation.coverage)} of films, of which {percent(adaptation.accuracy)} right"
    limit = manifest.min_confidence
    yield (
        f"a label is said from a confidence of {limit:.2f}: {said}"
        if limit
        else f"every label is said: {said}"
    )
    if adaptation.ood_limit is not None:
        yield (
            f"films are refused as unlike any above an ood_score of {manifest.ood_threshold:.3f}; "
            f"the limit was {adaptation.ood_limit:.3f}"
        )
    if adaptation.left_out:
        files = "file was" if adaptation.left_out == 1 else "files were"
        yield f"{adaptation.left_out} {files} left out, each named above"
