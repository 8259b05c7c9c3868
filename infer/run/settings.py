"""What changes a row and what only changes the speed, decided once.

Resuming rests on it: a journal (`run.journal`) and a folder of shards (`run.shards`) are gone on with only by
a run of the same fingerprint, so that all rows of a result are of one kind. Every field of `AnswerSettings`,
and every bound of its limits, is in the fingerprint; what a subclass adds is not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Final

import cv2

import xray_infer
from xray_infer.host import installed_versions
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtime_table import CPU
from xray_infer.run.results import ROW_SCHEMA, RowMaker, Rules

DICOM_DECODERS: Final = ("pydicom", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls")

Fingerprint = Mapping[str, Any]

_ROUNDING: Final = "float sums round differently: the seventh digit"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """What a caller may set that changes a row; the metadata of each field say how. See `EngineOptions`."""

    ood_threshold: float | None = field(default=None, metadata={"why": "images above it are rejected"})
    min_confidence: float | None = field(default=None, metadata={"why": "labels below it are 'uncertain'"})
    isolate_s: float | None = field(
        default=None, metadata={"why": "a file that crashes or takes longer is an error row"}
    )
    batch_size: int = field(default=1, metadata={"why": _ROUNDING})
    threads: int = field(default=1, metadata={"why": _ROUNDING})
    limits: Limits = field(default=DEFAULT_LIMITS, metadata={"why": "files beyond them are error rows"})
    device: str = field(default=CPU, metadata={"why": "it rounds differently, as another runtime does"})

    def rules(self, manifest: ModelManifest) -> Rules:
        """Return what turns an answer of this model into a verdict: its own limits unless others are set."""
        score = manifest.ood_threshold if self.ood_threshold is None else self.ood_threshold
        confidence = manifest.min_confidence if self.min_confidence is None else self.min_confidence
        return Rules(score, confidence)

    def facts(self, rules: Rules) -> dict[str, Any]:
        """Return the settings by name, for JSON, with the rules that hold; the limits one by one."""
        named = {one.name: getattr(self, one.name) for one in fields(AnswerSettings)}
        del named["limits"], named["device"]  # the device is a part of the runtime's name
        named["min_confidence"] = rules.min_confidence
        # JSON has no infinity.
        named["ood_threshold"] = "never" if rules.ood_threshold == math.inf else rules.ood_threshold
        return {**named, **asdict(self.limits)}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions(AnswerSettings):
    """How to run the engine. Only `workers` change no row; a run is resumed with the rest as it was.

    `workers` (default: one per processor) work side by side, each with a session of its own. One forward pass
    takes `batch_size` images and `threads` threads, on `device`, one of DEVICES. An image whose
    out-of-distribution score is above `ood_threshold` is rejected; by default that is the model file's own,
    and infinity accepts everything. Below a probability of `min_confidence` the label is `uncertain`; by
    default that is the file's own limit, and 0 says every label. With `isolate_s`, each worker decodes in a
    process of its own, for at most so many seconds per file. `limits` bound what one file may ask for.
    """

    workers: int | None = None


def what_changes_rows() -> Iterator[tuple[str, str]]:
    """Yield the name of each setting that changes a row, as EngineOptions has it, and how."""
    settings: tuple[Field[Any], ...] = fields(AnswerSettings)
    for one in settings:
        yield one.name, one.metadata["why"]


def row_maker(manifest: ModelManifest, digest: str, runtime: str, settings: AnswerSettings) -> RowMaker:
    """Return what makes the rows of a model file of this SHA-256 in the runtime of this name."""
    rules = settings.rules(manifest)
    return RowMaker(
        manifest.name, digest, runtime, rules, manifest.preprocessing_version, manifest.class_names
    )


def fingerprint_of(maker: RowMaker, settings: AnswerSettings, location: str) -> Fingerprint:
    """Return everything that the rows of the source at `location` depend on but the inputs, for JSON."""
    return {
        "source": location,
        "model_sha256": maker.model_sha256,
        "runtime": maker.runtime,
        "xray_infer": xray_infer.__version__,
        # With another decoder, or one that was missing, a file may give other pixels, or any at all.
        "decoders": {"opencv": cv2.__version__, **installed_versions(DICOM_DECODERS)},
        "preprocessing_version": maker.preprocessing_version,
        "row_schema": ROW_SCHEMA,
        **settings.facts(maker.rules),
    }


def differences(found: Fingerprint, wanted: Fingerprint) -> str:
    """Return what differs between a stored fingerprint and this run's, for a person; empty for none."""
    wanted = json.loads(json.dumps(dict(wanted)))
    return "; ".join(
        f"{key} was {found.get(key)!r}, is {wanted.get(key)!r}"
        for key in {**found, **wanted}
        if found.get(key) != wanted.get(key)
    )
