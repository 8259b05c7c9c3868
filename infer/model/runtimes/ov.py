"""OpenVINO, on the CPU: it reads the ONNX file itself."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import MissingExtraError, ModelError, XrayError
from xray_infer.model.embedding import read_onnx_manifest
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtime_table import RUNTIMES
from xray_infer.model.runtimes import ModelOutput

OPTIONS: Final = {
    # What a file holds as float is computed as float: OpenVINO takes bfloat16 where the processor has it.
    "INFERENCE_PRECISION_HINT": "f32",
    # It would bind the threads of all sessions, those of other processes too, to the same processors.
    "ENABLE_CPU_PINNING": "NO",
    "CACHE_DIR": "",
}


def import_openvino() -> Any:
    """Import openvino without its telemetry, which reports every import over the network.

    OpenVINO has a stand-in for where `openvino_telemetry` is not installed, which is what it finds here.
    Raises MissingExtraError, and XrayError for a broken installation.
    """
    telemetry = "openvino_telemetry"
    hidden = sys.modules.setdefault(telemetry, None) is None  # type: ignore[arg-type]
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("running a model in OpenVINO", "openvino") from error
    except ImportError as error:
        raise XrayError(f"openvino is broken ({error}): pip install --force-reinstall openvino") from error
    finally:
        if hidden:
            sys.modules.pop(telemetry, None)
    return openvino


_core: Any = None
_core_lock: Final = threading.Lock()


def openvino_core() -> Any:
    """Return this process's one Core, which is never let go of. Raises what `import_openvino` raises.

    Its CPU plugin gives the thread that loads it an alternate signal stack. Where two of them lived, letting
    go of both leaves the thread a stack that is no longer mapped, and the next signal that Python handles
    there, a Ctrl-C, is a segmentation fault (openvino 2026.4.1).
    """
    global _core
    openvino = import_openvino()
    with _core_lock:
        if _core is None:
            _core = openvino.Core()
        return _core


class OpenVinoSession:
    """A request to a compiled model with a fixed batch of one: larger batches gain nothing, and a free
    batch size costs a tenth of the speed. See `xray_infer.model.runtimes.Session`."""

    def __init__(self, request: Any, manifest: ModelManifest) -> None:
        self.manifest = manifest
        self.runtime = runtime_name()  # __version__ is that of a build
        self._request = request

    def run(self, images: NDArray[np.uint8]) -> ModelOutput:
        """See `xray_infer.model.runtimes.Session.run`."""
        names = self.manifest.output_names
        rows: list[list[NDArray[np.float32]]] = []
        for image in images:
            self._request.infer({self.manifest.input_name: image[None]})
            # The tensors are views of memory that the next image overwrites.
            rows.append([self._request.get_tensor(name).data.copy() for name in names])
        return ModelOutput.join(names, rows)


def runtime_name(device: str = "cpu") -> str:
    """Return what runs a model, with its version."""
    return RUNTIMES["openvino"].installed()


def open_sessions(path: Path, *, threads: int, count: int) -> list[OpenVinoSession]:
    """Load an ONNX file made by xray-export once, with a stream for each of `count` sessions.

    They share its weights, and the compilation, which takes a second or two.
    """
    manifest = read_onnx_manifest(path)
    core = openvino_core()
    options = {
        **OPTIONS,
        # For latency OpenVINO leaves hyper-threads and efficiency cores idle; workers are to use them all.
        "PERFORMANCE_HINT": "LATENCY" if count == 1 else "THROUGHPUT",
        "NUM_STREAMS": str(count),
        "INFERENCE_NUM_THREADS": str(count * threads),
    }
    try:
        model = core.read_model(path)
        model.reshape({manifest.input_name: [1, *manifest.input_shape]})
        compiled = core.compile_model(model, "CPU", options)
        sessions = [OpenVinoSession(compiled.create_infer_request(), manifest) for _ in range(count)]
        # The binding sets itself up at the first array it is given. Two threads that do so at once wait for
        # each other for ever, one with the interpreter's lock: so it is done here, by one.
        sessions[0].run(np.zeros((1, *manifest.input_shape), np.uint8))
        return sessions
    except RuntimeError as error:
        raise ModelError(f"{path}: OpenVINO cannot load this file: {_gist(error)}") from error


def _gist(error: RuntimeError) -> str:
    """The line that says something: the first ones name OpenVINO's source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
