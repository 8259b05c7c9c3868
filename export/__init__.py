"""Export of the Keras classifier to ONNX and TFLite files with quantisation and a parity gate.

The extra that it needs is loaded late, quietly, and with its versions on record: see `load_toolchain`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from typing import Final

from xray_infer.errors import extra_for

MODULES: Final = ("tensorflow", "keras", "onnx", "onnxruntime")
PACKAGES: Final = ("ai-edge-litert", "ai-edge-quantizer")  # their modules have no __version__


def load_toolchain() -> dict[str, str]:
    """Import TensorFlow and the converters; return the version of each.

    Sets Keras's backend, because only TensorFlow's can be converted, and TensorFlow's log level unless
    the user has set it. Raises MissingExtraError.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with extra_for("exporting", "export"):
        versions = {name: str(importlib.import_module(name).__version__) for name in MODULES}
        versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
    return versions
