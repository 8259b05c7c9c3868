"""What rows depend on, but for the inputs themselves: what is finished counts only for a run of the same.

One rule for the journal of a file and for the shards of a folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cv2

import xray_infer
from xray_infer.images.preprocess import PREPROCESSING_VERSION
from xray_infer.run.beside import Artifact
from xray_infer.run.engine import EngineOptions
from xray_infer.run.results import ROW_SCHEMA, RowMaker
from xray_infer.versions import installed_versions

DICOM_DECODERS: Final = ("pydicom", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls")

Fingerprint = Mapping[str, Any]


def fingerprint_of(
    maker: RowMaker, options: EngineOptions, location: str, artifacts: Sequence[Artifact] = ()
) -> Fingerprint:
    """Return everything that the rows of the source at `location` depend on, for JSON."""
    rules, limits = maker.rules, options.limits
    return {
        "source": location,
        "model_sha256": maker.model_sha256,
        "runtime": maker.runtime,
        "xray_infer": xray_infer.__version__,
        # With another decoder, or one that was missing, a file may give other pixels, or any at all.
        "decoders": {"opencv": cv2.__version__, **installed_versions(DICOM_DECODERS)},
        "preprocessing_version": PREPROCESSING_VERSION,
        "row_schema": ROW_SCHEMA,
        # JSON has no infinity.
        "ood_threshold": "never" if rules.ood_threshold == math.inf else rules.ood_threshold,
        "min_confidence": rules.min_confidence,
        "isolate_s": options.isolate_s,
        # Float sums round otherwise in other company: the seventh digit.
        "batch_size": options.batch_size,
        "threads": options.threads,
        **{name: getattr(limits, name) for name in limits.__slots__},
        **{name: fact for one in artifacts for name, fact in one.facts().items()},
    }


def differences(found: Fingerprint, wanted: Fingerprint) -> str:
    """Return what differs between a stored fingerprint and this run's, for a person; empty for none."""
    wanted = json.loads(json.dumps(dict(wanted)))
    return "; ".join(
        f"{key} was {found.get(key)!r}, is {wanted.get(key)!r}"
        for key in {**found, **wanted}
        if found.get(key) != wanted.get(key)
    )
