"""Who is compared; a new peer is one script and one line in `PEERS`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from xray_infer.benchmarks.model_rows import KERAS, ModelRow

SCRIPTS: Final = "xray_infer.benchmarks.peers"
METHOD: Final = "fine_tuning"
OURS: Final = "xray-infer"


@dataclass(frozen=True, slots=True)
class PeerKind:
    """A peer: its script (empty for our own command), the format and recipe that it runs, its packages.

    `script` is MODULE.NAME, a module of this package and a name in its table.

    `conversion` says what the file is converted to first: "torch", its weights in PyTorch; "nncf", int8.
    """

    name: str
    what: str
    script: str
    format: str
    recipe: str
    packages: tuple[str, ...] = ()
    conversion: str = ""

    @property
    def module(self) -> str:
        """The script's module."""
        return f"{SCRIPTS}.{self.script.partition('.')[0]}"

    @property
    def script_name(self) -> str:
        """The script's name in its module."""
        return self.script.partition(".")[2]

    def row(self, rows: Sequence[ModelRow]) -> ModelRow | None:
        """Return the row whose file it runs, in the format's default runtime."""
        for row in rows:
            if (row.key.method, row.key.format, row.key.recipe) == (METHOD, self.format, self.recipe):
                return row
        return None

    def obstacle(self, rows: Sequence[ModelRow]) -> str:
        """Say why it cannot run here, "" if it can."""
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            return f"{', '.join(missing)} not installed"
        if self.row(rows) is None:
            return f"no {METHOD} {self.format} {self.recipe} among --models"
        return ""


SHIPPED: Final = f"{OURS}, int8"  # whose speed the others are compared with
# In the order in which they run; the first one's answers are the standard for the others.
PEERS: Final = (
    PeerKind(f"{OURS}, fp32", "the command with ONNX fp32", "", "onnx", "fp32"),
    PeerKind(f"{OURS}, int8", "the command as it ships: ONNX int8-static", "", "onnx", "int8-static"),
    PeerKind(
        f"{OURS}, TFLite int8",
        "the command, --format tflite",
        "",
        "tflite",
        "int8-static",
        ("ai_edge_litert",),
    ),
    PeerKind(
        "Keras, one at a time",
        "load_img and model.predict",
        "runtime_scripts.keras_one_at_a_time",
        KERAS,
        "fp32",
        ("keras",),
    ),
    PeerKind(
        "Keras, batches of 32",
        "load_img and model.predict",
        "runtime_scripts.keras_batches",
        KERAS,
        "fp32",
        ("keras",),
    ),
    PeerKind(
        "timm, PyTorch",
        "densenet121, DataLoader with workers, channels last",
        "torch_scripts.timm_densenet",
        KERAS,
        "fp32",
        ("torch", "timm", "keras"),
        conversion="torch",
    ),
    PeerKind(
        "TorchXRayVision, PyTorch",
        "its DenseNet for one channel, DataLoader with workers",
        "torch_scripts.torchxrayvision_densenet",
        KERAS,
        "fp32",
        ("torch", "torchxrayvision", "keras"),
        conversion="torch",
    ),
    PeerKind(
        "OpenVINO, fp32",
        "throughput hint, asynchronous requests, decoding in threads",
        "runtime_scripts.openvino_best",
        "onnx",
        "fp32",
        ("openvino",),
    ),
    PeerKind(
        "OpenVINO, our int8",
        "the same with our int8-static file",
        "runtime_scripts.openvino_best",
        "onnx",
        "int8-static",
        ("openvino",),
    ),
    PeerKind(
        "OpenVINO, its own int8",
        "the same with what NNCF makes of our fp32 file",
        "runtime_scripts.openvino_best",
        "onnx",
        "fp32",
        ("openvino", "nncf"),
        conversion="nncf",
    ),
    PeerKind(
        "ONNX Runtime in a loop",
        "session defaults, OpenCV",
        "runtime_scripts.onnxruntime_loop",
        "onnx",
        "fp32",
        ("onnxruntime",),
    ),
    PeerKind(
        "LiteRT in a loop",
        "all processors, OpenCV",
        "runtime_scripts.litert_loop",
        "tflite",
        "fp32",
        ("ai_edge_litert",),
    ),
    PeerKind(
        "LiteRT in a loop, int8",
        "the same",
        "runtime_scripts.litert_loop",
        "tflite",
        "int8-static",
        ("ai_edge_litert",),
    ),
)
