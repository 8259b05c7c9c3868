"""What is wrong with a data set before anything is trained on it: faults, copies, leaks, shortcuts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from xray_infer.study.class_choice import ClassChoice
from xray_infer.study.datasets import SPLITS, LabelledImage, read_images
from xray_infer.terminal import Report
from xray_infer.train.data.groups import DuplicatePair, find_duplicates, join, links, with_patients

NO_SPLIT: Final = "no split"
NO_SOURCE: Final = "not stated"
NAMED: Final = 10  # how many of a kind the text names; the JSON names all
MOST_UNEVEN: Final = 3.0  # largest class over smallest
MOST_BY_SOURCE: Final = 0.1  # accuracy that the source alone may add to guessing the largest class


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files that show one picture; `kind` and `correlation` as in DuplicatePair."""

    first: str
    second: str
    kind: str
    correlation: float


@dataclass(frozen=True, slots=True)
class Leak:
    """Images that belong together but stand in several splits; `reasons` are what links across splits."""

    reasons: tuple[str, ...]
    files: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SourceShortcut:
    """How well the source alone tells the class, over all images.

    `accuracy` is reached by naming each source's commonest class, `majority` by always naming the
    commonest of all. `cramers_v` (Cramer 1946) is 0 where class and source are independent and 1 where
    either the source settles the class or the class the source.
    """

    accuracy: float
    majority: float
    cramers_v: float


@dataclass(frozen=True, slots=True)
class Inspection:
    """The findings. `splits` and `sources` count images by class; files are named relative to the data."""

    images: int
    classes: tuple[str, ...]
    splits: dict[str, dict[str, int]]
    sources: dict[str, dict[str, int]]
    unreadable: dict[str, str]
    copies: tuple[Pair, ...]
    conflicts: tuple[Pair, ...]
    leaks: tuple[Leak, ...]
    shortcut: SourceShortcut | None

    @property
    def to_mend(self) -> bool:
        """Whether something must be mended before training: unreadable files, conflicts, leaks."""
        return bool(self.unreadable or self.conflicts or self.leaks)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before training, in sentences."""
        return tuple(_warnings(self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "warnings": list(self.warnings), "to_mend": self.to_mend}

    def as_text(self) -> str:
        """Return the findings for a person, at most NAMED lines of a kind."""
        return "\n".join(_text(self))


def inspect(
    path: Path, *, choice: ClassChoice | None = None, patient_pattern: str | None = None, report: Report
) -> Inspection:
    """Look through a manifest or a tree. Files that cannot be read are findings, not errors.

    Raises DataError when the listing itself cannot be read, or for a faulty pattern.
    """
    missing: dict[Path, str] = {}
    dataset = read_images(path, choice=choice, unreadable=missing, report=report)
    images, classes = with_patients(dataset.images, patient_pattern), dataset.classes
    pairs, undecodable = find_duplicates(images, report=report)
    root = path if path.is_dir() else path.parent

    def name(file: Path) -> str:
        try:
            return Path(os.path.relpath(file, root)).as_posix()
        except ValueError:  # another drive of Windows
            return str(file)

    def named(pair: DuplicatePair) -> Pair:
        files = name(images[pair.first].path), name(images[pair.second].path)
        return Pair(*files, pair.kind, round(pair.correlation, 4))

    return Inspection(
        images=len(images) + len(missing),
        classes=classes,
        splits=_count(images, classes, lambda image: image.split or NO_SPLIT),
        sources=_count(images, classes, lambda image: image.source or NO_SOURCE),
        unreadable={name(file): reason for file, reason in (missing | undecodable).items()},
        copies=tuple(map(named, pairs)),
        conflicts=tuple(
            named(pair) for pair in pairs if images[pair.first].label != images[pair.second].label
        ),
        leaks=tuple(_leaks(images, pairs, name)),
        shortcut=_shortcut(images),
    )


def _count(
    images: Sequence[LabelledImage], classes: Sequence[str], key: Callable[[LabelledImage], str]
) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    order = {split: place for place, split in enumerate(SPLITS)}
    for one in sorted({key(image) for image in images}, key=lambda one: (order.get(one, 3), one)):
        table[one] = dict.fromkeys(classes, 0)
    for image in images:
        table[key(image)][classes[image.label]] += 1
    return table


def _leaks(
    images: Sequence[LabelledImage], pairs: Sequence[DuplicatePair], name: Callable[[Path], str]
) -> Iterator[Leak]:
    together = links(images, pairs)
    numbers = join(len(images), [(first, second) for first, second, _ in together])
    reasons: dict[int, set[str]] = {}
    for first, second, reason in together:
        if images[first].split != images[second].split:
            reasons.setdefault(numbers[first], set()).add(reason)
    members: dict[int, dict[str, list[str]]] = {number: {} for number in reasons}
    for number, image in zip(numbers, images, strict=True):
        if number in members:
            members[number].setdefault(image.split, []).append(name(image.path))
    for number, files in members.items():
        order = [split for split in SPLITS if split in files]
        yield Leak(tuple(sorted(reasons[number])), {str(split): tuple(files[split]) for split in order})


def _shortcut(images: Sequence[LabelledImage]) -> SourceShortcut | None:
    """Measure how far sources tell classes; None where fewer than two sources or classes are known."""
    counts = Counter((image.source, image.label) for image in images if image.source)
    sources, labels = sorted({source for source, _ in counts}), sorted({label for _, label in counts})
    if min(len(sources), len(labels)) < 2:
        return None
    table = np.array([[counts[source, label] for label in labels] for source in sources], float)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    chi_squared = float(((table - expected) ** 2 / expected).sum())
    return SourceShortcut(
        accuracy=float(table.max(axis=1).sum() / table.sum()),
        majority=float(table.sum(axis=0).max() / table.sum()),
        cramers_v=float(np.sqrt(chi_squared / (table.sum() * (min(table.shape) - 1)))),
    )


def _warnings(found: Inspection) -> Iterator[str]:
    if found.unreadable:
        yield f"Files that cannot be read: {len(found.unreadable)}. Mend or remove them."
    if found.conflicts:
        yield f"Pairs of one picture under two classes: {len(found.conflicts)}. Mend the labels."
    if found.leaks:
        yield (
            f"Groups of images that stand in more than one split: {len(found.leaks)}. Figures from this "
            "split are too good; make a new one: xray-train split --again."
        )
    if NO_SPLIT in found.splits:
        yield "There is no split yet: xray-train split makes one that keeps copies and patients together."
    sizes = {label: sum(row[label] for row in found.splits.values()) for label in found.classes}
    smallest = min(sizes, key=lambda label: sizes[label])
    if not sizes[smallest]:
        yield f"There are no images of class {smallest!r}."
    elif max(sizes.values()) > MOST_UNEVEN * sizes[smallest]:
        yield (
            f"The largest class has {max(sizes.values()) / sizes[smallest]:.1f} times as many images as "
            f"{smallest!r}: read macro-F1, not accuracy."
        )
    shortcut = found.shortcut
    if shortcut is None:
        yield "Sources are not known, or only one is: whether they give the class away cannot be told."
    elif shortcut.accuracy - shortcut.majority > MOST_BY_SOURCE:
        yield (
            f"The source alone names the class of {shortcut.accuracy:.1%} of the images (always naming the "
            f"commonest class: {shortcut.majority:.1%}): a network can score by telling sources apart."
        )


def _text(found: Inspection) -> Iterator[str]:
    yield f"{found.images} images, {len(found.unreadable)} of them cannot be read"
    yield from _first([f"  {file}: {reason}" for file, reason in found.unreadable.items()])
    for title, table in (("split", found.splits), ("source", found.sources)):
        yield "\n" + counts_text(title, table, found.classes)
    if found.shortcut:
        yield (
            f"\nclass told from the source alone: {found.shortcut.accuracy:.1%} right; always the commonest "
            f"class: {found.shortcut.majority:.1%}; Cramer's V {found.shortcut.cramers_v:.2f} (0 unrelated, "
            "1 settled)"
        )
    kinds = Counter(pair.kind for pair in found.copies)
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
    yield f"\npairs of copies: {listed}"
    # Across classes first, then the least alike: those to look at.
    doubtful = sorted(found.copies, key=lambda pair: (pair not in found.conflicts, pair.correlation))
    yield from _first([_pair_text(pair, pair in found.conflicts) for pair in doubtful])
    yield f"\ngroups in more than one split: {len(found.leaks)}"
    yield from _first([_leak_text(leak) for leak in found.leaks])
    if found.warnings:
        yield "\n" + "\n".join(f"warning: {warning}" for warning in found.warnings)


def counts_text(title: str, table: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str:
    """Return counts by class as a table, a line a row; `title` stands above their names."""
    left = max(map(len, (title, *table)))
    widths = {name: max(11, len(name) + 2) for name in classes}
    lines = [f"{title:<{left}}" + "".join(f"{name:>{width}}" for name, width in widths.items())]
    for key, row in table.items():
        lines.append(f"{key:<{left}}" + "".join(f"{row[name]:>{width}}" for name, width in widths.items()))
    return "\n".join(lines)


def _pair_text(pair: Pair, conflict: bool) -> str:
    note = ", under two classes" if conflict else ""
    return f"  {pair.first} and {pair.second}: {pair.kind}, correlation {pair.correlation:.3f}{note}"


def _leak_text(leak: Leak) -> str:
    sides = (
        f"{split}: {', '.join(files[:3])}{f' and {len(files) - 3} more' if len(files) > 3 else ''}"
        for split, files in leak.files.items()
    )
    return f"  by {' and '.join(leak.reasons)}: {'; '.join(sides)}"


def _first(lines: Sequence[str]) -> list[str]:
    rest = [f"  and {len(lines) - NAMED} more (--json names all)"] if len(lines) > NAMED else []
    return [*lines[:NAMED], *rest]
