"""Which model file, and which runtime for it, is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import ModelError
from xray_infer.model.manifest import METHODS
from xray_infer.model.runtimes import RUNTIMES, SUFFIXES, Model, find_model
from xray_infer.model.shipped import DEFAULT_METHOD, shipped_model
from xray_infer.terminal import Report

AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; None where a default decides.

    `model` is a file or the name of a model that ships, `format` onnx or tflite, `runtime` a name in
    RUNTIMES or `auto`.
    """

    model: str | Path | None = None
    format: str | None = None
    runtime: str | None = None


def select_model(wanted: Wanted, *, workers: int, report: Report) -> tuple[Model, str | None]:
    """Return the model and the name of its runtime, None for the default.

    `auto` measures for `workers` workers, and tells `report` in a line. Raises ModelError for what
    contradicts itself or cannot be read.
    """
    if wanted.runtime != AUTO:
        return next(_models(wanted)), wanted.runtime
    from xray_infer.model.runtimes.fastest import choose_fastest

    fastest = choose_fastest(list(_models(wanted)), workers=workers, report=report)
    return fastest.model, fastest.runtime


def _models(wanted: Wanted) -> Iterator[Model]:
    """Yield the file that is asked for, or the shipped one in every format that is allowed."""
    formats: dict[str, str] = {}  # what each option that was given asks for
    if wanted.format is not None:
        formats[f"--format {wanted.format}"] = wanted.format
    if wanted.runtime not in (None, AUTO):
        reads = RUNTIMES[wanted.runtime].format
        formats[f"--runtime {wanted.runtime} (reads {reads})"] = reads
    name = DEFAULT_METHOD if wanted.model is None else str(wanted.model)
    file = None if name in METHODS else find_model(Path(name))
    if file:
        formats[f"--model {wanted.model}"] = file.format
    if len(set(formats.values())) > 1:
        raise ModelError(f"{' and '.join(formats)} contradict each other")
    if file:
        yield file
    else:
        yield from (shipped_model(one, name) for one in set(formats.values()) or SUFFIXES.values())
