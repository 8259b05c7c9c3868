"""A report as text for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from xray_infer.export.inspection.contents import Contents, ModelReport
from xray_infer.model.json_records import to_json
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Adaptation
from xray_infer.study.intervals import percent

SHORT_DIGEST: Final = 12


def to_text(report: ModelReport) -> str:
    """Return four parts with an empty line between them: manifest, operators, size, cost."""
    return "\n\n".join(
        "\n".join(lines)
        for lines in (
            _head(report),
            _operators(report.contents),
            _size(report.contents, report.size_bytes),
            _cost(report.contents),
        )
    )


def _head(report: ModelReport) -> list[str]:
    line = (
        f"{report.path}: {report.format}, {report.size_bytes:,} bytes, sha256 {report.digest[:SHORT_DIGEST]}"
    )
    if report.manifest is None:
        return [line, str(report.manifest_problem)]
    return [line, *(f"  {name:<14} {value}" for name, value in _manifest(report.manifest) if value)]


def _manifest(manifest: ModelManifest) -> list[tuple[str, str]]:
    training, certificate = manifest.training, manifest.parity
    test = {} if training.test is None else to_json(training.test)
    parity = {} if certificate is None else to_json(certificate)
    return [
        ("model", f"{manifest.name} {manifest.version}, method {manifest.method}, recipe {manifest.recipe}"),
        ("temperature", f"{manifest.temperature:.4g}"),
        ("preprocessing", f"version {manifest.preprocessing_version}"),
        ("training data", (training.data_sha256 or "")[:SHORT_DIGEST]),
        ("test split", _figures(test, "images", "accuracy")),
        ("head", "" if manifest.adaptation is None else _descent(manifest.adaptation)),
        (
            "parity",
            _figures(parity, "images", "agreement", "max_dp", "mean_dp", "cam_error", "cam_correlation"),
        ),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.tool_versions.items())),
    ]


def _descent(adaptation: Adaptation) -> str:
    """Tell the descent of a head that was fitted anew."""
    figure = adaptation.balanced_accuracy
    return (
        f"fitted to {sum(adaptation.films.values())} films, balanced accuracy "
        f"{percent(figure.value, figure.interval)} cross-validated; the rest is {adaptation.parent}, sha256 "
        f"{adaptation.parent_sha256[:SHORT_DIGEST]}"
    )


def _figures(record: Mapping[str, object], *names: str) -> str:
    """List those figures of a record that are there, by their own names."""
    figures = ((name, record.get(name)) for name in names)
    return ", ".join(
        f"{name} {figure:.4g}" if isinstance(figure, float) else f"{name} {figure}"
        for name, figure in figures
        if figure is not None
    )


def _operators(contents: Contents) -> list[str]:
    counts = contents.op_counts()
    precisions = sorted({one.precision for one in counts})
    rows = [["operators", *precisions]]
    for op_type in sorted({one.op_type for one in counts}):
        by_precision = {one.precision: str(one.count) for one in counts if one.op_type == op_type}
        rows.append([op_type, *(by_precision.get(name, "-") for name in precisions)])
    return [*_table(rows), *filter(None, map(_explanation, precisions))]


def _explanation(precision: str) -> str:
    """Explain a precision whose weights and activations differ."""
    if precision.endswith(" weights"):
        return f"{precision}: the weights are {precision.removesuffix(' weights')}, the activations float"
    if mixed := re.fullmatch(r"(int\d+)x(\d+)", precision):
        return f"{precision}: the weights are {mixed[1]}, the activations int{mixed[2]}"
    return ""


def _size(contents: Contents, size_bytes: int) -> list[str]:
    size = contents.size
    parts = {f"weights {name}": count for name, count in sorted(size.weights.items())}
    parts |= {
        "scales and zero points": size.scales,
        "graph structure": size.graph,
        "manifest": size.manifest,
        "rest": size.rest,
        "the file": size_bytes,
    }
    return _table(
        [
            ["size", "bytes", "share"],
            *([name, f"{count:,}", f"{100 * count / size_bytes:.1f} %"] for name, count in parts.items()),
        ]
    )


def _cost(contents: Contents) -> list[str]:
    macs = contents.macs()
    name, largest_bytes = contents.largest_activation
    rows = [[f"cost of {'one image' if contents.batch == 1 else f'{contents.batch} images at once'}", ""]]
    rows += [[f"MACs {precision}", f"{count:,}"] for precision, count in macs.items()]
    rows += [
        ["MACs together", f"{sum(macs.values()):,}"],
        ["parameters", f"{contents.parameters:,}"],
        ["bytes of activations written", f"{contents.activation_bytes:,}"],
        ["bytes of the largest of them", f"{largest_bytes:,}"],
    ]
    lines = _table(rows)
    lines[-1] += f"  ({name})" if name else ""
    if contents.not_counted:
        lines.append(f"not all counted, as the file does not say enough: {', '.join(contents.not_counted)}")
    return lines


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
