"""What an inspection gives: the contents of a file, the same for every format, and their sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from xray_infer.export.inspection.operation import Operation
from xray_infer.model.manifest import ModelManifest


class UnsoundError(Exception):
    """A file is no sound model of its format; the text says why, in a clause."""


@dataclass(frozen=True, slots=True)
class OpCount:
    """How many operators of one type compute in one precision, and their multiply-accumulates together."""

    op_type: str
    precision: str
    count: int
    macs: int


@dataclass(frozen=True, slots=True)
class SizeParts:
    """The bytes of a file by part, which together are the whole file.

    `weights`: the values of constants by stored type, shapes and axes among them. `scales`: scales and zero
    points of quantisation. `manifest`: the manifest with what carries it. `rest`: other metadata and what
    no tensor refers to. `graph`: everything else, so operators, names, shapes and padding.
    """

    weights: Mapping[str, int]
    scales: int
    graph: int
    manifest: int
    rest: int

    @property
    def total(self) -> int:
        """Return the file's size in bytes."""
        return sum(self.weights.values()) + self.scales + self.graph + self.manifest + self.rest


@dataclass(frozen=True, slots=True)
class Contents:
    """What a reader finds in a file's bytes; figures are of one pass of `batch` images.

    `parameters` counts the elements of constants that are float or quantised, scales and zero points aside.
    """

    manifest_text: str | None
    operations: tuple[Operation, ...]
    size: SizeParts
    parameters: int
    batch: int

    @property
    def activation_bytes(self) -> int:
        """Return the bytes that all operators write in one pass."""
        return sum(size for one in self.operations for _, size in one.written)

    @property
    def largest_activation(self) -> tuple[str, int]:
        """Return name and bytes of the largest tensor that an operator writes; ("", 0) if none does."""
        written = [tensor for one in self.operations for tensor in one.written]
        return max(written, key=lambda tensor: tensor[1], default=("", 0))

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Return the types of operators whose cost the file does not tell, sorted."""
        return tuple(sorted({one.op_type for one in self.operations if not one.counted}))

    def op_counts(self) -> tuple[OpCount, ...]:
        """Count operators by type and precision, sorted by both."""
        counts = Counter((one.op_type, one.precision) for one in self.operations)
        macs: Counter[tuple[str, str]] = Counter()
        for one in self.operations:
            macs[one.op_type, one.precision] += one.macs
        return tuple(OpCount(*key, count, macs[key]) for key, count in sorted(counts.items()))

    def macs(self) -> dict[str, int]:
        """Return multiply-accumulates by precision, most first, without precisions that have none."""
        macs: Counter[str] = Counter()
        for one in self.operations:
            macs[one.precision] += one.macs
        return {precision: count for precision, count in macs.most_common() if count}


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One inspected file; `digest` is its SHA-256 in hex.

    `manifest` is None where `manifest_problem` says why xray-infer refuses the file.
    """

    path: Path
    format: str
    digest: str
    size_bytes: int
    manifest: ModelManifest | None
    manifest_problem: str | None
    contents: Contents

    def to_dict(self) -> dict[str, object]:
        """Return everything in JSON's types."""
        contents = self.contents
        name, size_bytes = contents.largest_activation
        macs = contents.macs()
        return {
            "file": str(self.path),
            "format": self.format,
            "sha256": self.digest,
            "size_bytes": self.size_bytes,
            "manifest": self.manifest.to_dict() if self.manifest else None,
            "manifest_problem": self.manifest_problem,
            "operators": [asdict(one) for one in contents.op_counts()],
            "size": asdict(contents.size),
            "cost": {
                "batch": contents.batch,
                "macs": macs,
                "total_macs": sum(macs.values()),
                "parameters": contents.parameters,
                "activation_bytes": contents.activation_bytes,
                "largest_activation": name,
                "largest_activation_bytes": size_bytes,
                "not_counted": list(contents.not_counted),
            },
        }
