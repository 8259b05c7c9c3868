"""xray_infer: chest X-ray classification from a quantised model, without TensorFlow.

Research use only. Not a medical device; not for diagnosis.

Importing this package loads neither an inference runtime nor TensorFlow; `Classifier` is loaded when it is
first asked for. It switches ONNX Runtime's telemetry off, for this process and its children, unless the
environment says otherwise: from 1.29 on ONNX Runtime keeps a device id and sends events by default.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xray_infer.classifier import Classifier, Prediction

__all__ = ["Classifier", "Prediction", "__version__"]
__version__ = "0.2.0"

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when the runtime starts


def __getattr__(name: str) -> object:
    """Load the Python interface late (PEP 562): the command's --help needs none of it."""
    if name in ("Classifier", "Prediction"):
        from xray_infer import classifier

        return getattr(classifier, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
