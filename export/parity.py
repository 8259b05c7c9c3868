"""The gate: an exported file must compute what its Keras model computes, in its own runtime.

It runs the written bytes on held-out images, which neither trained nor calibrated the model, and on a
few made-up ones that stretch every range. What it found becomes the certificate in the file's manifest.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ParityError
from xray_infer.export.reference import BATCH_SIZE, Reference
from xray_infer.runtimes import ModelOutput, Session, find_model

ROW_SUM_TOLERANCE: Final = 1e-5  # every recipe keeps the softmax in float
RUNTIME_PACKAGES: Final = {"onnx": "onnxruntime", "tflite": "ai-edge-litert"}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Limits for one recipe: agreement and correlation from below, errors from above.

    `agreement`: share of images with the same first class. `max_dp`, `mean_dp`: absolute difference of
    probabilities over images and classes, the largest and the mean. `cam_error`: largest difference of
    the maps relative to the reference's range. `cam_correlation`: median of Pearson's over single maps.
    `on_extremes`: whether the made-up inputs must keep to these limits too.
    """

    agreement: float
    max_dp: float
    mean_dp: float
    cam_error: float
    cam_correlation: float
    on_extremes: bool


# int8: a single image near a class boundary may move far (0.04 to 0.28 was seen), so only the mean is
# bounded: 0.02 keeps a confidence within about two points of the float model's. Saturation is expected
# on inputs outside the calibrated ranges; there, answers need only be finite and sum to 1.
_INT8: Final = Tolerance(
    agreement=0.95, max_dp=1.0, mean_dp=0.02, cam_error=1.0, cam_correlation=0.97, on_extremes=False
)
TOLERANCES: Final = {
    # Float32 sums in another order: 1e-6 is usual, 1e-4 leaves room for other processors' kernels.
    "fp32": Tolerance(
        1.0, max_dp=1e-4, mean_dp=1e-5, cam_error=1e-4, cam_correlation=0.9999, on_extremes=True
    ),
    # Weights rounded to 11 bits: 3e-3 is usual.
    "fp16": Tolerance(
        0.99, max_dp=0.02, mean_dp=2e-3, cam_error=0.02, cam_correlation=0.999, on_extremes=True
    ),
    "int8-dynamic": _INT8,
    "int8-static": _INT8,
}


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far an exported file is from the reference; the fields are those of `Tolerance`."""

    agreement: float
    max_dp: float
    mean_dp: float
    cam_error: float
    cam_correlation: float


def check_parity(path: Path, reference: Reference, *, recipe: str, name: str) -> dict[str, Any]:
    """Run the file at `path`, called `name` in errors, and return its certificate. Raises ParityError."""
    model = find_model(path)
    answers = _answers(model.open(threads=1), reference.inputs, name)
    _check_form(answers, reference, name)
    tolerance = TOLERANCES[recipe]
    real = slice(0, len(reference.inputs) - reference.extremes)
    deviation = _measure(answers, reference, real)
    _check_limits(deviation, tolerance, f"{name}: on held-out images")
    if tolerance.on_extremes:
        made_up = slice(real.stop, None)
        _check_limits(_measure(answers, reference, made_up), tolerance, f"{name}: on made-up inputs")
    package = RUNTIME_PACKAGES[model.format]
    return {
        "images": real.stop,
        "made_up_inputs": reference.extremes,
        **reference.digests(),
        **asdict(deviation),
        "tolerance": asdict(tolerance),
        "runtime": {package: importlib.metadata.version(package)},
    }


def _answers(session: Session, inputs: NDArray[np.uint8], name: str) -> ModelOutput:
    try:
        parts = [
            session.run(inputs[start : start + BATCH_SIZE]) for start in range(0, len(inputs), BATCH_SIZE)
        ]
    except Exception as error:  # a runtime's exceptions have no common base
        raise ParityError(f"{name}: does not run: {str(error).splitlines()[0]}") from error
    return ModelOutput(
        np.concatenate([part.probabilities for part in parts]), np.concatenate([part.cam for part in parts])
    )


def _check_form(answers: ModelOutput, reference: Reference, name: str) -> None:
    """Check shapes, types, finite values and row sums, on every input."""
    for output in ("probabilities", "cam"):
        given, expected = getattr(answers, output), getattr(reference, output)
        if given.shape != expected.shape or given.dtype != np.float32:
            raise ParityError(
                f"{name}: {output} is {given.dtype} {given.shape}, expected float32 {expected.shape}"
            )
        if not np.isfinite(given).all():
            raise ParityError(f"{name}: {output} holds values that are not finite")
    excess = float(np.abs(answers.probabilities.sum(axis=1) - 1).max())
    if excess > ROW_SUM_TOLERANCE:
        raise ParityError(
            f"{name}: probabilities sum to 1 within {excess:.2g}, at most {ROW_SUM_TOLERANCE:.2g} is allowed"
        )


def _measure(answers: ModelOutput, reference: Reference, rows: slice) -> Deviation:
    given, expected = answers.probabilities[rows], reference.probabilities[rows]
    difference = np.abs(given - expected)
    cam, expected_cam = answers.cam[rows], reference.cam[rows]
    return Deviation(
        agreement=float(np.mean(given.argmax(axis=1) == expected.argmax(axis=1))),
        max_dp=float(difference.max()),
        mean_dp=float(difference.mean()),
        cam_error=float(np.abs(cam - expected_cam).max() / max(np.ptp(expected_cam), 1e-12)),
        cam_correlation=_median_correlation(cam, expected_cam),
    )


def _median_correlation(given: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Median over images and classes of the correlation of two 7 x 7 maps; flat maps count as equal."""
    first, second = (
        maps.transpose(0, 3, 1, 2).reshape(-1, maps.shape[1] * maps.shape[2]).astype(np.float64)
        for maps in (given, expected)
    )
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    norm = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    product = (first * second).sum(axis=1)
    return float(np.median(np.divide(product, norm, out=np.ones_like(norm), where=norm > 1e-12)))


def _check_limits(deviation: Deviation, tolerance: Tolerance, where: str) -> None:
    for figure in ("agreement", "cam_correlation"):
        value, limit = getattr(deviation, figure), getattr(tolerance, figure)
        if value < limit:
            raise ParityError(f"{where}, {figure} is {value:.4f}, at least {limit:.4g} is needed")
    for figure in ("max_dp", "mean_dp", "cam_error"):
        value, limit = getattr(deviation, figure), getattr(tolerance, figure)
        if value > limit:
            raise ParityError(f"{where}, {figure} is {value:.2g}, at most {limit:.2g} is allowed")
