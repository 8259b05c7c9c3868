"""Which model file, and which runtime for it, is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xray_infer.errors import ModelError
from xray_infer.model.manifest import METHODS
from xray_infer.model.runtime_table import AUTO, MODEL_FORMATS, RUNTIMES
from xray_infer.model.runtimes import Model, find_model
from xray_infer.model.shipped import DEFAULT_METHOD, shipped_model
from xray_infer.terminal import Report


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The model file and the runtime that are asked for; None where a default decides.

    `model` is a file or the name of a model that ships, `format` one of MODEL_FORMATS, `runtime` a name in
    RUNTIMES or AUTO.
    """

    model: str | Path | None = None
    format: str | None = None
    runtime: str | None = None


def select_model(request: ModelRequest, *, workers: int, report: Report) -> tuple[Model, str | None]:
    """Return the model and the name of its runtime, None for the default.

    `auto` measures for `workers` workers, and tells `report` in a line. Raises ModelError for what
    contradicts itself or cannot be read.
    """
    if request.runtime != AUTO:
        return next(_models(request)), request.runtime
    from xray_infer.model.runtimes.fastest import choose_fastest

    fastest = choose_fastest(list(_models(request)), workers=workers, report=report)
    return fastest.model, fastest.runtime


def _models(request: ModelRequest) -> Iterator[Model]:
    """Yield the file that is asked for, or the shipped one in every format that is allowed."""
    formats: dict[str, str] = {}  # what each option that was given asks for
    if request.format is not None:
        formats[f"--format {request.format}"] = request.format
    if request.runtime not in (None, AUTO):
        reads = RUNTIMES[request.runtime].format
        formats[f"--runtime {request.runtime} (reads {reads})"] = reads
    name = DEFAULT_METHOD if request.model is None else str(request.model)
    file = None if name in METHODS else find_model(Path(name))
    if file:
        formats[f"--model {request.model}"] = file.format
    if len(set(formats.values())) > 1:
        raise ModelError(f"{' and '.join(formats)} contradict each other")
    if file:
        yield file
    else:
        yield from (shipped_model(one, name) for one in set(formats.values()) or MODEL_FORMATS)
