"""Training and judging of the lung detector.

Only films of split `train` teach, and only those whose box the cascades agree about; those of `val` and
`test` judge, or all films of a domain that is left out. Views from which the lungs are gone and pictures
without lungs teach when to say that there are none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xray_infer.errors import DataError
from xray_infer.images.lungs import shrunk
from xray_infer.terminal import Report
from xray_infer.train.lung_detector.box_network import BoxNetwork, NetworkConfig, answers, as_input
from xray_infer.train.lung_detector.box_views import NOT_THERE, THERE, film_view, other_view
from xray_infer.train.lung_detector.lung_films import (
    ListedFilm,
    PicturesWithoutLungs,
    SmallPictures,
    list_films,
    read_small,
    read_without_lungs,
    with_split,
)
from xray_infer.train.lung_detector.marking import overlap, read_boxes

REPORT_EVERY: Final = 5
# Edge of the pictures that views are made of, in edges of the network's: enough to be enlarged a little.
STORED: Final = 1.5


@dataclass(frozen=True, slots=True)
class LungConfig:
    """The schedule: one cycle of AdamW over batches of so many films and other pictures.

    Films of less than `agreement` teach nothing and judge nothing but whether lungs are found.
    """

    epochs: int = 60
    films: int = 64
    others: int = 16
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    box_weight: float = 4.0
    overlap_weight: float = 1.0
    there_weight: float = 0.3
    agreement: float = 0.8
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)


@dataclass(frozen=True, slots=True)
class LungFigures:
    """Overlap (IoU) with the cascades' boxes, and the shares of pictures that lungs were found in."""

    films: int
    overlap_mean: float
    overlap_p5: float
    overlap_below_half: float
    found: float
    found_without_lungs: dict[str, float]  # by kind of picture


@dataclass(frozen=True, slots=True, eq=False)
class LungData:
    """What to train on and to judge with. Small pictures have STORED times the network's side."""

    films: tuple[ListedFilm, ...]
    small: SmallPictures
    boxes: NDArray[np.float64]
    agreement: NDArray[np.float64]
    without: PicturesWithoutLungs
    boxes_digest: str

    def teaches(self, least: float, leave_out: str | None) -> NDArray[np.bool_]:
        """Which films teach."""
        return np.array([film.split == "train" and film.domain != leave_out for film in self.films]) & (
            self.agreement >= least
        )

    def judges(self, leave_out: str | None) -> NDArray[np.bool_]:
        """Which films judge."""
        if leave_out is None:
            return np.array([film.split != "train" for film in self.films])
        return np.array([film.domain == leave_out for film in self.films])


def read_lung_data(manifest: Path, boxes: Path, negatives: Sequence[Path], *, side: int) -> LungData:
    """Read everything, small. Raises DataError."""
    films = with_split(list_films(manifest), manifest)
    stored = round(STORED * side)
    marked, digest = read_boxes(boxes)
    missing = next((film.name for film in films if film.name not in marked), None)
    if missing is not None:
        raise DataError(f"{boxes} has no row for {missing}: mark this manifest (xray-train lungs mark)")
    rows = [marked[film.name] for film in films]
    return LungData(
        films,
        read_small(films, side=stored),
        np.array([row.edges or (0.0, 0.0, 1.0, 1.0) for row in rows]),
        np.array([row.agreement if row.edges else 0.0 for row in rows]),
        read_without_lungs(negatives, side=stored),
        digest,
    )


def fit_lungs(
    data: LungData, config: LungConfig, *, leave_out: str | None = None, report: Report = lambda line: None
) -> tuple[BoxNetwork, LungFigures]:
    """Train a network and judge it. The same data, configuration and versions give the same network.

    Raises DataError where no film teaches or judges.
    """
    teaches = np.flatnonzero(data.teaches(config.agreement, leave_out))
    judges = data.judges(leave_out)
    if len(teaches) < config.films or not judges.any():
        raise DataError(
            f"{len(teaches)} films teach and {judges.sum()} judge: at least {config.films} and 1 are needed"
            + (f" without the domain {leave_out!r}" if leave_out else "")
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network gains nothing, and sums keep their order
    try:
        network = _trained(data, teaches, config, report)
    finally:
        torch.set_num_threads(threads)
    return network, judge(network, data, judges, least=config.agreement)


def _trained(data: LungData, teaches: NDArray[Any], config: LungConfig, report: Report) -> BoxNetwork:
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = BoxNetwork(config.network)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        batches = len(teaches) // config.films
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=config.epochs * batches
        )
        began = time.monotonic()
        for epoch in range(1, config.epochs + 1):
            network.train()
            order, loss = rng.permutation(teaches), 0.0
            for batch in np.split(order[: batches * config.films], batches):
                loss += _step(network, optimizer, _batch(data, batch, rng, config), config)
                schedule.step()
            if epoch % REPORT_EVERY == 0 or epoch == config.epochs:
                seconds = time.monotonic() - began
                report(f"epoch {epoch} of {config.epochs}, loss {loss / batches:.3f}, {seconds:.0f} s")
    network.eval()
    return network


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Views of films first, then of other pictures; `there` is 1, 0, or -1 where it cannot be said."""

    seen: torch.Tensor
    boxes: torch.Tensor
    there: torch.Tensor


def _batch(data: LungData, films: NDArray[Any], rng: np.random.Generator, config: LungConfig) -> _Batch:
    side = config.network.side
    views, boxes, there = [], [], []
    for number in films:
        view, box, share = film_view(data.small.pictures[number], data.boxes[number], rng, side=side)
        views.append(view)
        boxes.append(box)
        there.append(1.0 if share >= THERE else 0.0 if share < NOT_THERE else -1.0)
    pools = [pool for pool in (data.without.photographs, data.without.train) if len(pool)]
    for number in range(config.others if pools else 0):
        pool = pools[number % len(pools)]
        views.append(other_view(pool[rng.integers(len(pool))], rng, side=side))
        there.append(0.0)
    return _Batch(
        as_input(np.stack(views)),
        torch.from_numpy(np.stack(boxes).astype(np.float32)),
        torch.tensor(there),
    )


def _step(network: BoxNetwork, optimizer: torch.optim.Optimizer, batch: _Batch, config: LungConfig) -> float:
    boxes, logits = network(batch.seen)
    boxes, weights = boxes[: len(batch.boxes)], (batch.there[: len(batch.boxes)] != 0).float()
    edges = nn.functional.smooth_l1_loss(boxes, batch.boxes, beta=0.02, reduction="none").sum(dim=1)
    missed = 1 - _overlap(boxes, batch.boxes)
    answer = nn.functional.binary_cross_entropy_with_logits(
        logits, batch.there.clamp(min=0), reduction="none"
    )
    loss = (
        (config.box_weight * edges + config.overlap_weight * missed) * weights
    ).mean() + config.there_weight * (answer * (batch.there >= 0)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _overlap(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """`overlap` of `marking`, with gradients."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1) for boxes in (first, second)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-6)


def judge(network: BoxNetwork, data: LungData, judges: NDArray[np.bool_], *, least: float) -> LungFigures:
    """Compare with the cascades where they agree at least so well, and count what lungs are found in."""
    side = network.config.side
    boxes, logits = answers(network, _seen(data.small.pictures[judges], side))
    sure = data.agreement[judges] >= least
    overlaps = overlap(boxes[sure], data.boxes[judges][sure])
    found: dict[str, float] = {}
    if len(data.without.judge):
        _, others = answers(network, _seen(data.without.judge, side))
        kinds = np.array(data.without.judge_kinds)
        found = {str(kind): float((others[kinds == kind] > 0).mean()) for kind in np.unique(kinds)}
    return LungFigures(
        films=int(sure.sum()),
        overlap_mean=float(overlaps.mean()) if sure.any() else 0.0,
        overlap_p5=float(np.percentile(overlaps, 5)) if sure.any() else 0.0,
        overlap_below_half=float((overlaps < 0.5).mean()) if sure.any() else 0.0,
        found=float((logits > 0).mean()),
        found_without_lungs=found,
    )


def _seen(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.stack([shrunk(picture, side) for picture in pictures])


def record(data: LungData, config: LungConfig, figures: LungFigures, leave_out: str | None) -> dict[str, Any]:
    """Return what the JSON beside the network's file says, but for the file's digest and the versions."""
    return {
        "data_sha256": data.small.digest,
        "boxes_sha256": data.boxes_digest,
        "without_lungs_sha256": list(data.without.digests),
        "left_out": leave_out,
        "configuration": asdict(config),
        "films_that_teach": int(data.teaches(config.agreement, leave_out).sum()),
        "figures": asdict(figures),
    }


def figures_text(figures: LungFigures) -> str:
    """Return what the command prints."""
    lines = [
        f"IoU with the cascades on {figures.films} films: mean {figures.overlap_mean:.3f}, 5 % below "
        f"{figures.overlap_p5:.3f}, under 0.5 in {figures.overlap_below_half:.1%}",
        f"lungs found in {figures.found:.1%} of the films",
    ]
    lines += [f"lungs found in {share:.1%} of {kind}" for kind, share in figures.found_without_lungs.items()]
    return "\n".join(lines)
