"""The models that ship inside the package, by the name of their method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xray_infer.errors import ModelError
from xray_infer.model.manifest import METHODS, READERS, ModelManifest
from xray_infer.model.runtimes import SUFFIXES, Model, find_model

MODELS_FOLDER: Final = Path(__file__).with_name("files")
DEFAULT_METHOD: Final = METHODS[1]
DEFAULT_RECIPE: Final = "int8-static"


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """One file that ships, and what it says of itself."""

    model: Model
    manifest: ModelManifest

    def facts(self) -> dict[str, Any]:
        """Return what `--list-models --json` prints, JSON types; accuracy is of the network's test split."""
        test = self.manifest.training["test"]
        return {
            "name": self.manifest.method,
            "default": self.manifest.method == DEFAULT_METHOD,
            "format": self.manifest.format,
            "recipe": self.manifest.recipe,
            "size_bytes": self.model.path.stat().st_size,
            "test_accuracy": test["accuracy"],
            "test_macro_f1": test["macro_f1"],
            "test_images": test["images"],
            "agrees_with_keras": self.manifest.parity["agreement"],
            "temperature": self.manifest.temperature,
            "data_sha256": self.manifest.training["data_sha256"],
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
    models = [shipped_model(one, method) for method in reversed(METHODS) for one in SUFFIXES.values()]
    # Without a runtime: some are extras, and the list is for choosing.
    return tuple(ShippedModel(model, READERS[model.format](model.path)) for model in models)


def table(models: Iterable[ShippedModel]) -> str:
    """Return the list for people."""
    lines = [f"{'--model':<20} {'--format':<9} {'recipe':<12} {'MB':>5}  test accuracy"]
    for one in models:
        facts = one.facts()
        default = "  (default)" if facts["default"] else ""
        lines.append(
            f"{facts['name']:<20} {facts['format']:<9} {facts['recipe']:<12} "
            f"{facts['size_bytes'] / 1e6:>5.1f}  "
            f"{100 * facts['test_accuracy']:.1f} % of {facts['test_images']}{default}"
        )
    return "\n".join(lines)
