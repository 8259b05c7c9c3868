"""What a model file makes of labelled films: pooled features, its answers, and what a control needs.

Computed once for a film and kept, so that a run that was stopped goes on, and another choice of classes or of
a file's name costs seconds:

    CACHE/KEY/DIGEST.npz    features float32 [K], probabilities float32 [C], pixels uint8 [400],
                            ood_score float32 [], input_sha256, facts (JSON)

KEY is a digest of the model file, the runtime and all that decodes; DIGEST is of the film's bytes. No name of
a file and no patient's is in it, but 20 x 20 pixels of each film are.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

import xray_infer
from xray_infer.atomic import make_folder, write_atomically
from xray_infer.errors import ImageError, ModelError
from xray_infer.host import default_workers, installed_versions
from xray_infer.images.decode import prepare
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.images.preprocess import LUNGS
from xray_infer.model.json_records import from_json
from xray_infer.model.runtimes import Model, Session
from xray_infer.run.progress import duration
from xray_infer.run.results import NO_FRONTAL_CHEST
from xray_infer.run.settings import DICOM_DECODERS
from xray_infer.run.sources.folder import FileItem
from xray_infer.study.datasets import LabelledImage
from xray_infer.study.reference import input_digest
from xray_infer.terminal import Report
from xray_infer.train.adapt.film_facts import FilmFacts, film_facts

LAYOUT: Final = 1  # of what is kept
PIXELS_SIDE: Final = 20
IN_FLIGHT: Final = 4  # films a worker
SECONDS_BETWEEN_LINES: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class FilmFeatures:
    """One film as a model sees it.

    `features` float32 [K], what the head reads; `probabilities` float32 [C] are the model's own; `pixels`
    uint8 [400] are its input at 20 x 20; `input_sha256` is of the input's pixels. `ood_score` is NaN where
    the file has none.
    """

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    ood_score: float
    input_sha256: str
    facts: FilmFacts


class FilmReader:
    """A model's sessions, one a worker, and the folder that keeps what they found.

    Raises ModelError for a file without the output `features`, and what `Model.open_many` raises.
    """

    def __init__(self, model: Model, *, cache: Path, workers: int | None = None) -> None:
        self._workers = workers or default_workers()
        self._idle: SimpleQueue[Session] = SimpleQueue()
        for session in model.open_many(self._workers):
            self._idle.put(session)
        self.manifest = session.manifest
        if "features" not in self.manifest.output_names:
            raise ModelError(
                f"{model.path}: has no output features; export the model again with this version"
            )
        versions = installed_versions(DICOM_DECODERS)
        parts = [LAYOUT, model.digest, session.runtime, xray_infer.__version__, cv2.__version__, versions]
        self._folder = cache / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        make_folder(self._folder)

    def read(
        self, images: Sequence[LabelledImage], *, report: Report
    ) -> tuple[dict[Path, FilmFeatures], dict[Path, str]]:
        """Return the films that can be judged, and the reason of each that cannot, in the order of images."""
        known = {image.digest: self._kept(image.digest) for image in images}
        missing = {image.digest: image for image in images if known[image.digest] is None}
        if missing:
            kept = f", {len(known) - len(missing)} are known" if len(known) > len(missing) else ""
            report(f"computing the features of {len(missing)} films{kept}")
        films: dict[str, FilmFeatures | str] = {
            digest: film for digest, film in known.items() if film is not None
        }
        films |= self._compute(list(missing.values()), report)
        found = {image.path: films[image.digest] for image in images}
        return (
            {path: film for path, film in found.items() if isinstance(film, FilmFeatures)},
            {path: film for path, film in found.items() if isinstance(film, str)},
        )

    def _compute(self, images: Sequence[LabelledImage], report: Report) -> dict[str, FilmFeatures | str]:
        """Return films, or why there is none, by digest."""
        found: dict[str, FilmFeatures | str] = {}
        started = shown = time.monotonic()
        with ThreadPoolExecutor(self._workers, "features") as pool:
            try:
                for digest, film in self._in_flight(pool, images):
                    found[digest] = film
                    now = time.monotonic()
                    if now - shown >= SECONDS_BETWEEN_LINES:
                        shown, rate = now, len(found) / (now - started)
                        left = duration((len(images) - len(found)) / rate)
                        report(f"  {len(found)} of {len(images)} films, {rate:.1f} films/s, {left} left")
            finally:
                pool.shutdown(cancel_futures=True)
        return found

    def _in_flight(
        self, pool: ThreadPoolExecutor, images: Sequence[LabelledImage]
    ) -> Iterator[tuple[str, FilmFeatures | str]]:
        """Yield the digest of each film as it is done, with the film; few wait in memory."""
        pending: dict[Future[FilmFeatures | str], str] = {}
        for image in images:
            pending[pool.submit(self._film, image)] = image.digest
            if len(pending) >= IN_FLIGHT * self._workers:
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                yield from ((pending.pop(one), one.result()) for one in done)
        yield from ((digest, one.result()) for one, digest in pending.items())

    def _film(self, image: LabelledImage) -> FilmFeatures | str:
        """Compute and keep one film, or return why it cannot be judged."""
        preprocessing = self.manifest.preprocessing
        try:
            data = FileItem(image.path, image.path.name).read(DEFAULT_LIMITS)
            prepared = prepare(data, preprocessing, limits=DEFAULT_LIMITS)
            if preprocessing.version == LUNGS and prepared.area is None:
                return NO_FRONTAL_CHEST
            facts = film_facts(data)
        except ImageError as error:
            return str(error)
        session = self._idle.get()
        try:
            output = session.run(prepared.input[None])
        finally:
            self._idle.put(session)
        assert output.features is not None  # it is among the output's names
        film = FilmFeatures(
            output.features[0],
            output.probabilities[0],
            small_pixels(prepared.input),
            float("nan") if output.ood_score is None else float(output.ood_score[0]),
            input_digest(prepared.input),
            facts,
        )
        if not np.isfinite(film.features).all():
            return "the model gave no finite features"
        self._keep(image.digest, film)
        return film

    def _keep(self, digest: str, film: FilmFeatures) -> None:
        arrays: dict[str, Any] = {
            "features": film.features,
            "probabilities": film.probabilities,
            "pixels": film.pixels,
            "ood_score": np.float32(film.ood_score),
            "input_sha256": film.input_sha256,
            "facts": json.dumps(asdict(film.facts)),
        }
        write_atomically(self._folder / f"{digest}.npz", lambda temporary: np.savez(temporary, **arrays))

    def _kept(self, digest: str) -> FilmFeatures | None:
        """Return what is kept of a film; None for nothing, or for a file that is damaged."""
        try:
            with np.load(self._folder / f"{digest}.npz", allow_pickle=False) as kept:
                film = FilmFeatures(
                    kept["features"],
                    kept["probabilities"],
                    kept["pixels"],
                    float(kept["ood_score"]),
                    str(kept["input_sha256"]),
                    from_json(FilmFacts, json.loads(str(kept["facts"]))),
                )
            whole = film.pixels.shape == (PIXELS_SIDE**2,) and np.isfinite(film.features).all()
        except (OSError, TypeError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return film if whole else None


def small_pixels(given: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a model's input, uint8 [side, side, 1], at 20 x 20 pixels, uint8 [400]."""
    side = (PIXELS_SIDE, PIXELS_SIDE)
    return np.asarray(cv2.resize(given[..., 0], side, interpolation=cv2.INTER_AREA), np.uint8).ravel()
