"""Whether the alarm finds a strange hospital, and how often it is raised for nothing.

Each domain in turn is the strange one. The other films are dealt into FOLDS by their groups; the reference is
fitted on all folds but one, without the strange domain, and its limit with it. Folders are then drawn without
replacement: strange ones of the domain left out, known ones of the fold left out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.study_command import FILE, study
from xray_infer.atomic import make_folder, write_json
from xray_infer.errors import DataError
from xray_infer.export.alarm_export import known_films, pooled_features
from xray_infer.model.alarm_fitting import COMPONENTS, KnownFilms, fit_alarm, mixed_folder
from xray_infer.model.alarm_reference import FALSE_ALARMS, LEAST_FILMS, AlarmReference
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtimes import find_model
from xray_infer.study.datasets import LabelledImage, read_images
from xray_infer.terminal import Report, say

FOLDS: Final = 4
SIZES: Final = (LEAST_FILMS, 50, 100)
FOLDERS: Final = 200  # drawn of each kind in each fold
STRANGE: Final = "strange: of the domain left out"
MIXED: Final = "known: any mix of domains and classes"
ONE_DOMAIN: Final = "known: one domain"
ONE_CLASS: Final = "known: one class of one domain"
WHOLE: Final = "known: all held-out films of a domain"
KINDS: Final = (STRANGE, MIXED, ONE_DOMAIN, ONE_CLASS)

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Raised:
    """How many of the `folders` of a kind raised the alarm; `films` in each, 0 for all that there are.

    `source` is the part of a strange domain that they were drawn from, "" for all of it.
    """

    left_out: str
    kind: str
    films: int
    folders: int
    alarms: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class Films:
    """All films: what a reference is fitted on, their sources, and the fold of each."""

    known: KnownFilms
    sources: NDArray[np.str_]
    folds: Indices

    def where(self, domains: Iterable[str]) -> Indices:
        """Return the films of these domains."""
        return np.flatnonzero(np.isin(self.known.hospitals, sorted(domains)))


def measure(
    films: Films, *, components: int = COMPONENTS, folders: int = FOLDERS, report: Report
) -> list[Raised]:
    """Leave out each domain in turn. Raises DataError for films of fewer than two domains."""
    domains = sorted({*films.known.hospitals} - {""})
    if len(domains) < 2:
        raise DataError("the study leaves out one domain after the other: it needs two of them")
    found: list[Raised] = []
    for left in domains:
        report(f"without {left}")
        found += _without(left, films, {*domains} - {left}, components, folders)
    return found


def _without(left: str, films: Films, others: set[str], components: int, folders: int) -> Iterator[Raised]:
    known, strange = films.where(others), films.where([left])
    rng = np.random.default_rng(0)
    tallies: dict[tuple[str, int, str], list[bool]] = defaultdict(list)
    for fold in range(FOLDS):
        held = known[films.folds[known] == fold]
        fitted = films.known.take(known[films.folds[known] != fold])
        reference = fit_alarm(fitted, components=components, seed=fold)
        positions = reference.positions(films.known.features).astype(np.float64)
        drawn = [*_draw_strange(films, strange, folders, rng), *_draw_known(films, held, folders, rng)]
        for kind, size, source, some in drawn:
            means = np.stack([positions[one].mean(axis=0) for one in some])
            counts = np.array([float(len(one)) for one in some])
            raised = reference.strangeness_of(means, counts) > reference.limit()
            tallies[kind, size, source] += raised.tolist()
    for (kind, size, source), alarms in tallies.items():
        yield Raised(left, kind, size, len(alarms), sum(alarms), source)


Drawn = tuple[str, int, str, list[Indices]]


def _draw_strange(films: Films, strange: Indices, count: int, rng: np.random.Generator) -> Iterator[Drawn]:
    for size in SIZES:
        yield STRANGE, size, "", _draw(strange, size, count, rng)
    for source in sorted(set(films.sources[strange].tolist())):
        mine = strange[films.sources[strange] == source]
        if len(mine) >= SIZES[1]:
            yield STRANGE, SIZES[1], source, _draw(mine, SIZES[1], count, rng)


def _draw_known(films: Films, held: Indices, count: int, rng: np.random.Generator) -> Iterator[Drawn]:
    corners = films.known.corner_names()[held]
    domains = np.array(films.known.hospitals)[held]
    for size in SIZES:
        if len(held) > size:
            yield MIXED, size, "", [held[mixed_folder(corners, size, rng)] for _ in range(count)]
        for kind, names in ((ONE_DOMAIN, domains), (ONE_CLASS, corners)):
            parts = [held[names == name] for name in sorted(set(names.tolist()))]
            large = [part for part in parts if len(part) >= size]
            for part in large:
                yield kind, size, "", _draw(part, size, count // len(large), rng)
    whole = [held[domains == name] for name in sorted(set(domains.tolist()))]
    yield WHOLE, 0, "", [one for one in whole if len(one) >= LEAST_FILMS]


def _draw(films: Indices, size: int, count: int, rng: np.random.Generator) -> list[Indices]:
    return [rng.choice(films, size, replace=False) for _ in range(count)]


def read_films(
    images: Sequence[LabelledImage], features: NDArray[np.float32], manifest: ModelManifest
) -> Films:
    """Return films with their features [N, D] by a model file with this manifest."""
    known = known_films(images, features, manifest)
    found, place = np.unique(np.array(known.groups), return_inverse=True)
    folds = (np.random.default_rng(0).permutation(len(found)) % FOLDS)[place]
    return Films(known, np.array([image.source for image in images]), folds)


def table(found: Sequence[Raised]) -> str:
    """Return Markdown: a row a domain, how many folders raised the alarm."""
    heads = [f"{kind}, {size} films" for kind in KINDS for size in SIZES] + [WHOLE]
    keys = [(kind, size) for kind in KINDS for size in SIZES] + [(WHOLE, 0)]
    lefts = list(dict.fromkeys(one.left_out for one in found))
    lines = [f"| folders | {' | '.join(lefts)} | mean |", "|---" * (len(lefts) + 2) + "|"]
    for head, (kind, size) in zip(heads, keys, strict=True):
        shares = [_share(found, left, kind, size) for left in lefts]
        said = [value for value in shares if value is not None]
        mean = f"{np.mean(said):.1%}" if said else ""
        cells = ("" if value is None else f"{value:.1%}" for value in shares)
        lines.append(f"| {head} | {' | '.join(cells)} | **{mean}** |")
    return "\n".join(lines)


def _share(found: Sequence[Raised], left: str, kind: str, size: int) -> float | None:
    mine = [one for one in found if (one.left_out, one.kind, one.films, one.source) == (left, kind, size, "")]
    folders = sum(one.folders for one in mine)
    return sum(one.alarms for one in mine) / folders if folders else None


def sources_table(found: Sequence[Raised]) -> str:
    """Return Markdown: strange folders from one source each."""
    lines = ["| domain left out | source | folders of 50 films that raised the alarm |", "|---|---|---|"]
    for one in found:
        if one.source:
            lines.append(f"| {one.left_out} | {one.source} | {one.alarms / one.folders:.1%} |")
    return "\n".join(lines)


def reference_size(reference: AlarmReference) -> int:
    """Return the bytes that a reference takes in a manifest."""
    return len(json.dumps(asdict(reference.to_record())))


@study("alarm")
@click.argument("manifest", type=FILE)
@click.option("--model", type=FILE, required=True, help="Model file with the output `features`.")
@click.option("--features", type=FILE, help=".npz that keeps the features; made where it is missing.")
@click.option("--components", default=COMPONENTS, show_default=True, help="Axes that films are compared in.")
@click.option("--out", type=FILE, help="Folder for METHOD.md and METHOD.json.")
def main(manifest: Path, model: Path, features: Path | None, components: int, out: Path | None) -> None:
    """Measure the alarm on the films of MANIFEST, each domain left out in turn."""
    dataset, file = read_images(manifest), find_model(model)
    values = _features(dataset.images, model, features)
    films = read_films(dataset.images, values, file.manifest())
    found = measure(films, components=components, report=say)
    size = reference_size(fit_alarm(films.known, components=components))
    text = (
        f"{table(found)}\n\n{sources_table(found)}\n\nShare of folders that raised the alarm, the domain of "
        f"the column left out of the reference. {len(values):,} films, {components} axes, a limit for "
        f"{FALSE_ALARMS:.1%} false alarms. The reference of all films takes {size / 1000:.0f} kB. Model "
        f"file {model.name}, {file.digest[:12]}."
    )
    click.echo(text)
    if out:
        make_folder(out)
        method = file.manifest().method
        (out / f"{method}.md").write_text(f"{text}\n", encoding="utf-8")
        rows: Sequence[Mapping[str, object]] = [asdict(one) for one in found]
        write_json(out / f"{method}.json", {"model": file.digest, "components": components, "raised": rows})


def _features(images: Sequence[LabelledImage], model: Path, kept: Path | None) -> NDArray[np.float32]:
    """Return features [N, D], from the file that keeps them where it does. Raises DataError."""
    digests = np.array([image.digest for image in images])
    if kept is not None and kept.exists():
        with np.load(kept) as stored:
            if stored["digests"].tolist() != digests.tolist():
                raise DataError(f"{kept}: holds the features of other films; remove it")
            return np.asarray(stored["features"], np.float32)
    values = pooled_features(images, model)
    if kept is not None:
        np.savez(kept, features=values, digests=digests)
    return values


if __name__ == "__main__":
    main()
