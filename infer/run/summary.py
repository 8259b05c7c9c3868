"""What a run came to: counts by status and label, failures by reason, for people and for records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.run.results import ERROR, OK, REJECTED, UNCERTAIN, Row

# Reasons that name a size or a score differ from file to file: they are grouped without it, and what
# still differs must not make memory grow with the folder.
MEASURE: Final = re.compile(r"\d[\d,]*\.\d+|\d[\d,]{2,}")
MOST_REASONS: Final = 500
OTHER_REASON: Final = "other reasons; see the column 'reason'"


class Summary:
    """Counts of a run in constant memory."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.reasons: dict[str, Counter[str]] = {REJECTED: Counter(), ERROR: Counter()}

    def add(self, row: Row) -> None:
        """Count one row."""
        self.statuses[row.status] += 1
        if row.status == OK:
            self.labels[row.label] += 1
            return
        self._add_reason(row.status, MEASURE.sub("...", row.reason), 1)

    def _add_reason(self, status: str, reason: str, count: int) -> None:
        reasons = self.reasons[status]
        reasons[reason if reason in reasons or len(reasons) < MOST_REASONS else OTHER_REASON] += count

    def counts(self) -> dict[str, Any]:
        """Return all counts, for JSON."""
        return {
            "images": self.total,
            "by_status": dict(self.statuses),
            "by_label": dict(self.labels),
            "by_reason": {status: dict(reasons) for status, reasons in self.reasons.items()},
        }

    def join(self, counts: Mapping[str, Any]) -> None:
        """Add what another summary's `counts` returned."""
        self.statuses.update(counts["by_status"])
        self.labels.update(counts["by_label"])
        for status, reasons in counts["by_reason"].items():
            for reason, count in reasons.items():
                self._add_reason(status, reason, count)

    @property
    def total(self) -> int:
        """Number of rows."""
        return self.statuses.total()

    @property
    def unread(self) -> int:
        """Number of inputs that could not be read."""
        return self.statuses[ERROR]

    @property
    def failed(self) -> int:
        """Number of rows without an answer."""
        return self.total - self.statuses[OK]

    def lines(self, *, seconds: float, reused: int = 0, most_reasons: int = 10) -> Iterator[str]:
        """Yield the summary's lines for a person. `reused` rows took no time."""
        rate = (self.total - reused) / max(seconds, 1e-9)
        yield f"{self.total:,} images in {seconds:.1f} s ({rate:.1f} images/s)"
        shown = [name for name in (*CLASS_NAMES, UNCERTAIN) if name != UNCERTAIN or self.labels[name]]
        counts = ", ".join(f"{self.labels[name]:,} {name}" for name in shown)
        yield f"{self.statuses[OK]:,} classified: {counts}"
        for status, what in ((REJECTED, "rejected, not judged"), (ERROR, "could not be read")):
            if self.statuses[status]:
                yield f"{self.statuses[status]:,} {what}:"
            rest = self.statuses[status]
            named = Counter({one: n for one, n in self.reasons[status].items() if one != OTHER_REASON})
            for reason, count in named.most_common(most_reasons):
                rest -= count
                yield f"  {count:,} x {reason}"
            if rest:
                yield f"  {rest:,} x {OTHER_REASON}"
        yield RESEARCH_NOTICE
