"""The models that ship inside the package, by the name of their method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import ModelError
from xray_infer.model.embedding import READERS
from xray_infer.model.manifest import METHODS, ModelManifest
from xray_infer.model.manifest_parts import Certificate, SplitResult
from xray_infer.model.runtime_table import MODEL_FORMATS, SUFFIXES
from xray_infer.model.runtimes import Model, find_model

MODELS_FOLDER: Final = Path(__file__).with_name("files")
DEFAULT_METHOD: Final = METHODS[1]
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
        """Return what `--list-models --json` prints, JSON types; accuracy is of the network's test split."""
        return {
            "name": self.manifest.method,
            "default": self.is_default,
            "format": self.manifest.format,
            "recipe": self.manifest.recipe,
            "size_bytes": self.model.path.stat().st_size,
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
    models = [shipped_model(one, method) for method in reversed(METHODS) for one in MODEL_FORMATS]
    # Without a runtime: some are extras, and the list is for choosing.
    return tuple(_read(model) for model in models)


def _read(model: Model) -> ShippedModel:
    manifest = READERS[model.format](model.path)
    test, certificate = manifest.training.test, manifest.parity
    if test is None or certificate is None:
        raise ModelError(f"{model.path}: does not say how good it is; install xray-infer again")
    return ShippedModel(model, manifest, test, certificate)


def table(models: Iterable[ShippedModel]) -> str:
    """Return the list for people."""
    lines = [f"{'--model':<20} {'--format':<9} {'recipe':<12} {'MB':>5}  test accuracy"]
    for one in models:
        manifest, test = one.manifest, one.test
        accuracy = "" if test.accuracy is None else f"{100 * test.accuracy:.1f} % of {test.images}"
        default = "  (default)" if one.is_default else ""
        lines.append(
            f"{manifest.method:<20} {manifest.format:<9} {manifest.recipe:<12} "
            f"{one.model.path.stat().st_size / 1e6:>5.1f}  {accuracy}{default}"
        )
    return "\n".join(lines)
