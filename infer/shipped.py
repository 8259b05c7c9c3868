"""The models that ship inside the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from xray_infer.errors import ModelError
from xray_infer.runtimes import SUFFIXES, Model, find_model

MODELS_FOLDER: Final = Path(__file__).with_name("models")
DEFAULT_METHOD: Final = "fine_tuning"
DEFAULT_RECIPE: Final = "int8-static"


def shipped_model(runtime: str) -> Model:
    """Return the default shipped model for a runtime ("onnx" or "tflite"). Raises ModelError."""
    suffix = next(suffix for suffix, name in SUFFIXES.items() if name == runtime)
    path = MODELS_FOLDER / f"{DEFAULT_METHOD}-{DEFAULT_RECIPE}{suffix}"
    if not path.exists():
        raise ModelError(f"{path} is missing: install xray-infer again, or give --model FILE")
    return find_model(path)
