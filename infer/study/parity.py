"""The gate: an exported file must compute what its Keras model computes, in its own runtime.

It runs the written bytes on test images, which took part in no choice, and on a few made-up ones that
stretch every range. What it found becomes the certificate in the file's manifest, and `verify` repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ParityError
from xray_infer.model.manifest import SCORE_NAME
from xray_infer.model.manifest_parts import Certificate, Deviation, RuntimeResult, Tolerance
from xray_infer.model.runtimes import Model, ModelOutput, Session, find_model
from xray_infer.study.reference import BATCH_SIZE, Reference

COMPARED: Final = ("probabilities", "cam")  # outputs that the reference has
ROW_SUM_TOLERANCE: Final = 1e-5  # every recipe keeps the softmax in float
# XNNPACK has no 16-bit kernels, so there the built-in ones run anyway, at seconds an image.
WITHOUT_XNNPACK: Final = ("int8x16",)


# int8: a single image near a class boundary may move far (0.04 to 0.28 was seen), so only the mean is
# bounded: 0.02 keeps a confidence within about two points of the float model's. Saturation is expected
# on inputs outside the calibrated ranges; there, answers need only be finite and sum to 1.
_INT8: Final = Tolerance(
    0.98, accuracy_kept=0.99, max_dp=1.0, mean_dp=0.02, cam_error=1.0, cam_correlation=0.97, on_extremes=False
)
TOLERANCES: Final = {
    # Float32 sums in another order: 1e-6 is usual, 1e-4 leaves room for other processors' kernels.
    "fp32": Tolerance(
        1.0,
        accuracy_kept=1.0,
        max_dp=1e-4,
        mean_dp=1e-5,
        cam_error=1e-4,
        cam_correlation=0.9999,
        on_extremes=True,
    ),
    # Weights rounded to 11 bits: 3e-3 is usual.
    "fp16": Tolerance(
        0.99,
        accuracy_kept=0.99,
        max_dp=0.02,
        mean_dp=2e-3,
        cam_error=0.02,
        cam_correlation=0.999,
        on_extremes=True,
    ),
    # With the stem in float, 100 % agreement is usual.
    "int8-dynamic": _INT8,
    "int8-static": _INT8,
    # 16-bit activations: what is lost is lost in the weights.
    "int8x16": _INT8,
}


def check_parity(
    path: Path, reference: Reference, *, recipe: str, name: str, forgiven: int = 0
) -> Certificate:
    """Run the file at `path`, called `name` in errors, and return its certificate. Raises ParityError.

    So many images are `forgiven` a label beyond the tolerance: among few, one is more than a share of 1 %.
    """
    model, tolerance = find_model(path), TOLERANCES[recipe]
    right = reference.probabilities[reference.real].argmax(axis=1) == reference.labels
    slack = forgiven / max(int(right.sum()), 1)
    runs: dict[str, RuntimeResult] = {}
    for runtime, session in sessions(model, recipe):
        answers = answer(session, reference.inputs, name)
        _check_form(answers, reference, name)
        deviation = measure(answers, reference, reference.real)
        where = f"{name} ({runtime})"
        check_limits(deviation, tolerance, f"{where}: on test images", slack=slack)
        if tolerance.on_extremes:
            made_up = measure(answers, reference, reference.made_up)
            check_limits(made_up, tolerance, f"{where}: on made-up inputs")
        hits = answers.probabilities[reference.real].argmax(axis=1) == reference.labels
        runs[runtime] = RuntimeResult(**asdict(deviation), accuracy=float(np.mean(hits)))
    first, *others = runs
    return Certificate(
        images=len(reference.labels),
        made_up_inputs=len(reference.inputs) - len(reference.labels),
        inputs_sha256=reference.inputs_digest,
        reference_sha256=reference.answers_digest,
        runtime=first,
        result=runs[first],
        tolerance=tolerance,
        other_runtimes={runtime: runs[runtime] for runtime in others},
    )


def sessions(model: Model, recipe: str) -> Iterator[tuple[str, Session]]:
    """Yield the runtimes that a file has to pass in, each with one thread; the one that users get first."""
    session = model.open(threads=1)
    if model.format == "tflite":
        from xray_infer.model.runtimes.litert import LitertSession

        yield f"{session.runtime}, XNNPACK", session
        if recipe not in WITHOUT_XNNPACK:
            built_in = LitertSession(model.path, threads=1, xnnpack=False)
            yield f"{session.runtime}, built-in kernels", built_in
        return
    yield session.runtime, session
    for runtime in model.runtimes()[1:]:
        if runtime.installed():
            other = model.open(threads=1, runtime=runtime.name)
            yield other.runtime, other


def answer(session: Session, inputs: NDArray[np.uint8], name: str) -> ModelOutput:
    """Run a session on uint8 [N, side, side, 1]; `name` is for errors. Raises ParityError when it can't."""
    try:
        names = session.manifest.output_names
        parts = [
            session.run(inputs[start : start + BATCH_SIZE]) for start in range(0, len(inputs), BATCH_SIZE)
        ]
    except Exception as error:  # a runtime's exceptions have no common base
        raise ParityError(f"{name}: does not run: {str(error).splitlines()[0]}") from error
    return ModelOutput.join(names, [[getattr(part, one) for one in names] for part in parts])


def _check_form(answers: ModelOutput, reference: Reference, name: str) -> None:
    """Check shapes, types, finite values and row sums, on every input."""
    for output in COMPARED:
        given, expected = getattr(answers, output), getattr(reference, output)
        if given.shape != expected.shape or given.dtype != np.float32:
            raise ParityError(
                f"{name}: {output} is {given.dtype} {given.shape}, expected float32 {expected.shape}"
            )
        if not np.isfinite(given).all():
            raise ParityError(f"{name}: {output} holds values that are not finite")
    for output in (SCORE_NAME, "features"):
        beside = getattr(answers, output)
        if beside is not None and not np.isfinite(beside).all():
            raise ParityError(f"{name}: {output} holds values that are not finite")
    excess = float(np.abs(answers.probabilities.sum(axis=1) - 1).max())
    if excess > ROW_SUM_TOLERANCE:
        raise ParityError(
            f"{name}: probabilities sum to 1 within {excess:.2g}, at most {ROW_SUM_TOLERANCE:.2g} is allowed"
        )


def measure(answers: ModelOutput, reference: Reference, rows: slice) -> Deviation:
    """Compare answers with the reference on some rows; made-up inputs have no labels, agreement stands in."""
    given, expected = answers.probabilities[rows], reference.probabilities[rows]
    first, expected_first = given.argmax(axis=1), expected.argmax(axis=1)
    labels = reference.labels[rows] if rows == reference.real else expected_first
    difference = np.abs(given - expected)
    cam, expected_cam = answers.cam[rows], reference.cam[rows]
    return Deviation(
        agreement=float(np.mean(first == expected_first)),
        accuracy_kept=float(np.sum(first == labels) / max(np.sum(expected_first == labels), 1)),
        max_dp=float(difference.max()),
        mean_dp=float(difference.mean()),
        cam_error=float(np.abs(cam - expected_cam).max() / max(np.ptp(expected_cam), 1e-12)),
        cam_correlation=_median_correlation(cam, expected_cam),
    )


def _median_correlation(given: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Median over images and classes of the correlation of two maps; flat maps count as equal."""
    first, second = (
        maps.transpose(0, 3, 1, 2).reshape(-1, maps.shape[1] * maps.shape[2]).astype(np.float64)
        for maps in (given, expected)
    )
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    norm = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    product = (first * second).sum(axis=1)
    return float(np.median(np.divide(product, norm, out=np.ones_like(norm), where=norm > 1e-12)))


def check_limits(deviation: Deviation, tolerance: Tolerance, where: str, *, slack: float = 0.0) -> None:
    """Raise ParityError where a figure misses its limit; the shares of labels may miss it by `slack`."""
    for figure in ("agreement", "accuracy_kept", "cam_correlation"):
        value, limit = getattr(deviation, figure), getattr(tolerance, figure)
        if value + (0 if figure == "cam_correlation" else slack) < limit:
            raise ParityError(f"{where}, {figure} is {value:.4f}, at least {limit:.4g} is needed")
    for figure in ("max_dp", "mean_dp", "cam_error"):
        value, limit = getattr(deviation, figure), getattr(tolerance, figure)
        if value > limit:
            raise ParityError(f"{where}, {figure} is {value:.2g}, at most {limit:.2g} is allowed")
