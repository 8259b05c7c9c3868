"""A file held again against its Keras model's answers, on any machine, without TensorFlow or Keras."""

from __future__ import annotations

from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError, ImageError
from xray_infer.host import default_workers
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.manifest_parts import Certificate
from xray_infer.model.runtimes import find_model
from xray_infer.run.sources.folder import local_source
from xray_infer.study.datasets import list_images
from xray_infer.study.parity import check_parity
from xray_infer.study.reference import SUFFIX, Reference, StoredReference, input_digest, load_reference

FIGURES: Final = (
    "agreement",
    "accuracy",
    "accuracy_kept",
    "max_dp",
    "mean_dp",
    "cam_error",
    "cam_correlation",
)


@dataclass(frozen=True, slots=True)
class Verification:
    """The certificate in a file's manifest and the one that was found just now."""

    stated: Certificate
    found: Certificate

    def __str__(self) -> str:
        stated, found = asdict(self.stated.result), asdict(self.found.result)
        lines = [f"{'':<16}{'certificate':>12}{'now':>12}"]
        lines += [f"{name:<16}{stated[name]:>12.4g}{found[name]:>12.4g}" for name in FIGURES]
        lines += [f"{'images':<16}{self.stated.images:>12}{self.found.images:>12}"]
        return "\n".join(
            [*lines, f"certificate: {self.stated.runtime}", f"now:         {self.found.runtime}"]
        )


def verify(
    path: Path, data: Path, *, reference: Path | None = None, images: int | None = None
) -> Verification:
    """Repeat the parity gate of an exported file on the images that judged it, or on so many of them.

    `data` is a folder or a manifest that holds them, among others or not; they are found by their pixels.
    Where `images` are given, and in a file whose head was fitted anew, which few films judge, one of them may
    have another label than the tolerance allows. `reference` is by default the file that was written
    beside the model. Raises ParityError when the file does not pass, DataError when images or answers are
    missing or not those of the certificate.
    """
    model = find_model(path)
    manifest = model.open().manifest
    named = f"{path.name if manifest.adaptation else manifest.method}{SUFFIX}"
    stored = load_reference(reference or path.with_name(named))
    if manifest.parity is None or stored.answers_digest != manifest.parity.reference_sha256:
        raise DataError(
            f"{path}: the reference answers are not those of its certificate; give the file that was "
            "written with it: --reference FILE"
        )
    if images is not None:
        stored = stored.thinned(images)
    inputs = _with_inputs(stored, data, manifest.preprocessing)
    one = int(images is not None or manifest.adaptation is not None)
    found = check_parity(path, inputs, recipe=manifest.recipe, name=path.name, forgiven=one)
    return Verification(manifest.parity, found)


def _with_inputs(stored: StoredReference, data: Path, preprocessing: Preprocessing) -> Reference:
    wanted = set(stored.input_digests)
    with ThreadPoolExecutor(default_workers()) as pool:
        read = pool.map(partial(_read, wanted=wanted, preprocessing=preprocessing), _files(data))
        found = dict(one for one in read if one is not None)
    return stored.with_inputs(found)


def _files(data: Path) -> list[Path]:
    """List the images of a manifest or a folder; what cannot be read, or its class, is no matter."""
    if data.is_dir() and not (data / "manifest.csv").exists():
        return [item.path for item in local_source(data)]
    return [image.path for image in list_images(data).images]


def _read(
    path: Path, *, wanted: Set[str], preprocessing: Preprocessing
) -> tuple[str, NDArray[np.uint8]] | None:
    """Return an image's digest and pixels if it is among the wanted."""
    try:
        pixels = preprocessing(decode(path.read_bytes(), side=preprocessing.decode_side)).pixels
    except (OSError, ImageError):
        return None
    digest = input_digest(pixels)
    return (digest, pixels) if digest in wanted else None
