"""The result row: one per input, always, whatever happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.preprocess import PREPROCESSING_VERSION

OK: Final = "ok"
REJECTED: Final = "rejected"  # readable, but not something the model may judge
ERROR: Final = "error"  # not readable; `reason` says why

COLUMNS: Final = (
    "path",
    "status",
    "label",
    *(f"prob_{name}" for name in CLASS_NAMES),
    "confidence",
    "reason",
    "model",
    "model_sha256",
    "preprocessing_version",
    "runtime",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One input's result. `probabilities` (0..1, in the order of CLASS_NAMES) is empty unless ok.

    `runtime` is the package that ran the model, with its version: float answers differ in the sixth digit,
    int8 answers in the second.
    """

    path: str
    status: str
    model: str
    model_sha256: str
    runtime: str
    probabilities: tuple[float, ...] = ()
    reason: str = ""

    @property
    def label(self) -> str:
        """The most probable class, or an empty string when there is none."""
        if not self.probabilities:
            return ""
        return CLASS_NAMES[self.probabilities.index(max(self.probabilities))]

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of COLUMNS; probabilities with six decimals."""
        numbers = [f"{value:.6f}" for value in self.probabilities] or [""] * len(CLASS_NAMES)
        confidence = f"{max(self.probabilities):.6f}" if self.probabilities else ""
        return (
            self.path,
            self.status,
            self.label,
            *numbers,
            confidence,
            self.reason,
            self.model,
            self.model_sha256,
            str(PREPROCESSING_VERSION),
            self.runtime,
        )


def probability_table(row: Row) -> str:
    """Return a small table of one image's probabilities, for a person."""
    lines = [row.path]
    ranked = sorted(zip(row.probabilities, CLASS_NAMES, strict=True), reverse=True)
    lines += [f"  {name:<10} {value:7.2%}  {'█' * round(30 * value)}" for value, name in ranked]
    return "\n".join([*lines, RESEARCH_NOTICE])


class Summary:
    """Counts of a run in constant memory: by status, by label, and failures by reason."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        """Count one row."""
        self.statuses[row.status] += 1
        if row.status == OK:
            self.labels[row.label] += 1
        else:
            self.reasons[row.reason] += 1

    @property
    def failed(self) -> int:
        """Number of rows that are not ok."""
        return self.statuses.total() - self.statuses[OK]

    def lines(self, *, seconds: float, most_reasons: int = 10) -> Iterable[str]:
        """Yield the summary's lines for a person."""
        total = self.statuses.total()
        yield f"{total} images in {seconds:.1f} s ({total / max(seconds, 1e-9):.1f} images/s)"
        counts = ", ".join(f"{self.labels[name]} {name}" for name in CLASS_NAMES)
        yield f"{self.statuses[OK]} classified: {counts}"
        if self.failed:
            yield f"{self.failed} could not be read:"
            for reason, count in self.reasons.most_common(most_reasons):
                yield f"  {count} x {reason}"
            if len(self.reasons) > most_reasons:
                yield f"  and {len(self.reasons) - most_reasons} other reasons; see the column 'reason'"
        yield RESEARCH_NOTICE
