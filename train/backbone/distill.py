"""Pre-training of the DenseNet121 backbone by a teacher with ImageNet weights, which needs no labels.

Teacher and student see the same random view of each picture, and the student learns the teacher's feature
maps, their means and the logits (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and
consistent").

Output folder:
    checkpoint.pt      everything needed to go on: weights, their average, optimiser, history, configuration
    backbone.keras     the average of the weights, without the projection, as of the last finished epoch
    pretrain.json      configuration, teacher, data digests, history, digest of backbone.keras, versions

An interrupted run goes on from its last finished epoch when the same command is given again. `epochs`,
`small_epochs` and `side` may be other ones then, so that a finished run can be made longer. The rate is
constant up to the last fifth of the epochs, and what is written is the moving average of the weights: the
backbone is of use after any epoch.
"""

from __future__ import annotations

import functools
import hashlib
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch

from xray_infer.atomic import make_folder, write_atomically, write_json
from xray_infer.errors import DataError
from xray_infer.host import installed_versions
from xray_infer.terminal import Report
from xray_infer.train.backbone.distill_run import DistillConfig, DistillEpoch, DistillRun
from xray_infer.train.backbone.photographs import FilmSource, read_films, read_photographs
from xray_infer.train.backbone.pictures import Kind, hold_out
from xray_infer.train.backbone.teachers import load_teacher

Digests = dict[str, Any]  # of what is learned from, and how films are read; JSON types

OBJECTIVE: Final = "maps, means and logits"  # 0.2.0 had no maps
FILM_SIDE: Final = 192  # of the films in memory: crops of them are seldom seen larger


def distill(
    archive: Path,
    out: Path,
    config: DistillConfig,
    *,
    films: FilmSource | None = None,
    start: Path | None = None,
    report: Report = lambda line: None,
) -> Path:
    """Train the backbone on an archive of photographs, and films, and return the path of `backbone.keras`.

    `films` are X-rays, of which no label is used. `start` is a backbone to go on
    from. Raises DataError for unusable pictures and for an output folder that holds a run of another
    configuration, ModelError for a `start` that is no backbone or a teacher that cannot be loaded.
    """
    teacher = load_teacher(config.teacher, side=config.teacher_side)
    kinds, digests = _read(archive, films, config)
    report(", ".join(f"{len(kind.train)} + {len(kind.val)} {kind.name}" for kind in kinds))
    if start is not None:
        config = replace(config, start_sha256=hashlib.sha256(start.read_bytes()).hexdigest())
    run = DistillRun(config, teacher, kinds, start)
    make_folder(out)
    checkpoint = out / "checkpoint.pt"
    history: list[DistillEpoch] = []
    identity = {"objective": OBJECTIVE, **config.identity, **digests, "teacher_sha256": teacher.sha256}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=run.device, weights_only=True)
        if state["identity"] != identity:
            raise DataError(f"{out} holds a run of another configuration; give a new --out")
        run.load(state)
        history = [DistillEpoch(**row) for row in state["history"]]
        report(f"going on after epoch {len(history)} of {config.epochs}")
    else:
        report(f"fitting the projection to {config.fit_pictures} answers of {teacher.name}")
        run.fit_projection()
    for epoch in range(len(history), config.epochs):
        started = time.monotonic()
        feature_loss, logit_loss = run.train_epoch(epoch, report)
        explained = run.explained(config.side_of(epoch))
        seconds = time.monotonic() - started
        history.append(
            DistillEpoch(epoch, config.side_of(epoch), feature_loss, logit_loss, explained, seconds)
        )
        shares = ", ".join(f"{name} {share:.3f}" for name, share in explained.items())
        report(
            f"epoch {epoch + 1}/{config.epochs} at {config.side_of(epoch)} px: features {feature_loss:.3f}, "
            f"logits {logit_loss:.3f}, explained: {shares}; {seconds:.0f} s"
        )
        _write(out, run, history, identity, digests)
    return out / "backbone.keras"


def _write(
    out: Path,
    run: DistillRun,
    history: list[DistillEpoch],
    identity: dict[str, Any],
    digests: Digests,
) -> None:
    backbone = out / "backbone.keras"
    write_atomically(backbone, run.write_backbone)
    teacher, rows = run.teacher, [asdict(row) for row in history]
    state = {"identity": identity, "history": rows, **run.state()}
    write_atomically(out / "checkpoint.pt", functools.partial(torch.save, state))
    record = {
        "config": asdict(run.config),
        "teacher": {"name": teacher.name, "weights_sha256": teacher.sha256, "side": teacher.side},
        **digests,
        "pictures": {kind.name: {"train": len(kind.train), "val": len(kind.val)} for kind in run.kinds},
        "backbone_sha256": hashlib.sha256(backbone.read_bytes()).hexdigest(),
        "history": rows,
        "versions": installed_versions(("torch", "keras", "openvino")),
    }
    write_json(out / "pretrain.json", record)


def _read(archive: Path, films: FilmSource | None, config: DistillConfig) -> tuple[tuple[Kind, ...], Digests]:
    photographs = read_photographs(archive)
    share = 0.0 if films is None else config.film_share
    kinds = [Kind("photographs", photographs.train.images, photographs.val.images, 1 - share)]
    digests: Digests = {"data_sha256": photographs.digest, "films_sha256": None}
    if films is not None:
        read = read_films(films, side=FILM_SIDE)
        kinds.append(hold_out("films", read.images, share))
        digests |= {
            "films_sha256": read.digest,
            "films_preprocessing": films.version,
            "films_left_out": sorted(films.left_out),
        }
    return tuple(kinds), digests
