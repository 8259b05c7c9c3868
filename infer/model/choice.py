"""The models that ship inside the package, and which model file and runtime a run takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import ModelError
from xray_infer.model.manifest import METHODS, ModelManifest
from xray_infer.model.manifest_parts import Certificate, SplitResult
from xray_infer.model.runtime_table import AUTO, MODEL_FORMATS, RUNTIMES, SUFFIXES
from xray_infer.model.runtimes import Model, find_model
from xray_infer.terminal import Report

MODELS_FOLDER: Final = Path(__file__).with_name("files")
DEFAULT_METHOD: Final = METHODS[0]
DEFAULT_RECIPE: Final = "int8-static"


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """One file that ships, and what it says of itself."""

    model: Model
    manifest: ModelManifest
    test: SplitResult
    certificate: Certificate

    @property
    def is_default(self) -> bool:
        """Whether it is taken where no model is named."""
        return self.manifest.method == DEFAULT_METHOD

    def facts(self) -> dict[str, object]:
        """Return what `--list-models --json` prints, JSON types.

        `left_out_accuracy` is of networks trained without a domain, on its images: the mean over these.
        """
        elsewhere = self.manifest.confidence
        return {
            "name": self.manifest.method,
            "default": self.is_default,
            "format": self.manifest.format,
            "recipe": self.manifest.recipe,
            "size_bytes": self.model.path.stat().st_size,
            "left_out_accuracy": elsewhere and elsewhere.accuracy_of_all,
            "left_out_images": elsewhere and elsewhere.images,
            "left_out_domains": elsewhere and list(elsewhere.domains),
            "test_accuracy": self.test.accuracy,
            "test_macro_f1": self.test.macro_f1,
            "test_images": self.test.images,
            "agrees_with_keras": self.certificate.result.agreement,
            "temperature": self.manifest.temperature,
            "data_sha256": self.manifest.training.data_sha256,
            "version": self.manifest.version,
            "sha256": self.model.digest,
            "intended_use": self.manifest.intended_use,
        }


def shipped_model(model_format: str, method: str = DEFAULT_METHOD) -> Model:
    """Return the shipped model of a method in a format ("onnx" or "tflite"). Raises ModelError."""
    suffix = next(suffix for suffix, name in SUFFIXES.items() if name == model_format)
    path = MODELS_FOLDER / f"{method}-{DEFAULT_RECIPE}{suffix}"
    if not path.exists():
        raise ModelError(f"{path} is missing: install xray-infer again, or give --model FILE")
    return find_model(path)


def list_shipped() -> tuple[ShippedModel, ...]:
    """Return every shipped model, the default method first. Raises ModelError for one that is damaged."""
    models = [shipped_model(one, method) for method in METHODS for one in MODEL_FORMATS]
    # Without a runtime: some are extras, and the list is for choosing.
    return tuple(_read(model) for model in models)


def _read(model: Model) -> ShippedModel:
    manifest = model.manifest()
    test, certificate = manifest.training.test, manifest.parity
    if test is None or certificate is None:
        raise ModelError(f"{model.path}: does not say how good it is; install xray-infer again")
    return ShippedModel(model, manifest, test, certificate)


def table(models: Iterable[ShippedModel]) -> str:
    """Return the list for people."""
    lines = [
        f"{'--model':<20} {'--format':<9} {'recipe':<12} {'MB':>5}  {'test accuracy':<15} domains left out"
    ]
    for one in models:
        manifest, test = one.manifest, one.test
        accuracy = "" if test.accuracy is None else f"{100 * test.accuracy:.1f} % of {test.images}"
        unseen = manifest.confidence
        elsewhere = f"{100 * unseen.accuracy_of_all:.1f} % in {len(unseen.domains)} domains" if unseen else ""
        default = "  (default)" if one.is_default else ""
        lines.append(
            f"{manifest.method:<20} {manifest.format:<9} {manifest.recipe:<12} "
            f"{one.model.path.stat().st_size / 1e6:>5.1f}  {accuracy:<15} {elsewhere}{default}".rstrip()
        )
    return "\n".join(lines)


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
