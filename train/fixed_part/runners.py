"""A fixed part of a network on the fastest runtime there is: OpenVINO on a CPU, else Keras itself.

Measured on 2 cores (AVX-512 with bf16), DenseNet121 at 224 px, images/s: OpenVINO bf16 62, PyTorch bf16
38, ONNX Runtime fp32 33, OpenVINO fp32 32, TensorFlow fp32 25.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import MissingExtraError
from xray_infer.model.runtimes.ov import import_openvino, openvino_core
from xray_infer.train.fixed_part.boundary import input_names

REQUEST: Final = 8  # inputs in one OpenVINO request: the throughput is flat from 4 to 16
BATCH: Final = 32

Floats = NDArray[np.float32]


class Runner(Protocol):
    """Maps inputs `[N, ...]` to features `float32 [N, ...]` in inference mode."""

    name: str

    def __call__(self, inputs: NDArray[Any]) -> Floats:
        """Compute the features of any number of inputs."""
        ...


class KerasRunner:
    """A model as Keras runs it, on whatever backend and device it has."""

    def __init__(self, model: keras.Model) -> None:
        self.name = f"keras on {keras.backend.backend()}"
        self._model = keras.Model(model.inputs, model.outputs)
        # XLA, Keras's default, gains nothing in inference on a CPU and costs its compilation.
        self._model.compile(jit_compile=False)

    def __call__(self, inputs: NDArray[Any]) -> Floats:
        """Compute the features of any number of inputs."""
        parts = [
            np.asarray(
                keras.ops.convert_to_numpy(self._model.predict_on_batch(inputs[start : start + BATCH]))
            )
            for start in range(0, len(inputs), BATCH)
        ]
        return np.concatenate(parts).astype(np.float32)


class OpenVinoRunner:
    """A model rebuilt as an OpenVINO graph, from the Keras graph and its weights.

    With `fast`, convolutions run in bfloat16 where the processor has it: 8 bits of mantissa.
    Raises NotImplementedError for a layer type outside `BUILDERS`, and what `import_openvino` raises.
    """

    def __init__(self, model: keras.Model, *, fast: bool) -> None:
        openvino = import_openvino()
        core = openvino_core()
        bf16 = fast and _cpu_has_bfloat16(core)
        self.name = f"openvino {'bf16' if bf16 else 'fp32'}"
        options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        }
        compiled = core.compile_model(_graph(openvino, model), "CPU", options)
        self._queue = openvino.AsyncInferQueue(compiled)
        self._shape = tuple(model.output.shape[1:])
        self._queue.set_callback(self._keep)
        self._features: Floats

    def _keep(self, request: Any, start: int) -> None:
        features = request.get_output_tensor().data
        self._features[start : start + len(features)] = features

    def __call__(self, inputs: NDArray[Any]) -> Floats:
        """Compute the features of any number of inputs `float32 [N, ...]`."""
        self._features = np.empty((len(inputs), *self._shape), np.float32)
        for start in range(0, len(inputs), REQUEST):
            self._queue.start_async([inputs[start : start + REQUEST]], start)
        self._queue.wait_all()
        return self._features


def make_runner(model: keras.Model, *, fast: bool) -> Runner:
    """Return the fastest way to run a part of DenseNet121: Keras on a GPU, else OpenVINO, else Keras.

    `fast` allows bfloat16, for training; without it the features are those of fp32.
    """
    if _has_gpu():
        return KerasRunner(model)
    try:
        return OpenVinoRunner(model, fast=fast)
    except MissingExtraError:
        return KerasRunner(model)


def computes_in_bfloat16() -> bool:
    """Whether there is a GPU, or a processor that OpenVINO says has bfloat16 arithmetic of its own.

    Without OpenVINO the answer is no. Raises XrayError for a broken installation of it.
    """
    if _has_gpu():
        return True
    try:
        core = openvino_core()
    except MissingExtraError:
        return False
    return _cpu_has_bfloat16(core)


def _cpu_has_bfloat16(core: Any) -> bool:
    capabilities: list[str] = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


def _has_gpu() -> bool:
    if keras.backend.backend() == "torch":  # list_devices is not written for it in Keras 3.15
        import torch

        return bool(torch.cuda.is_available())
    # Not list_devices("gpu"): JAX raises where there is none.
    return any(not name.startswith("cpu") for name in keras.distribution.list_devices())


def _graph(openvino: Any, model: keras.Model) -> Any:
    ops = openvino.opset13
    shape = [-1 if side is None else side for side in model.input.shape]
    image = ops.parameter(shape, np.float32, name="images")
    to_nchw, to_nhwc = (ops.constant(np.array(order)) for order in ((0, 3, 1, 2), (0, 2, 3, 1)))
    nchw = ops.transpose(image, to_nchw)
    values: dict[str, Any] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        kind = type(layer).__name__
        if kind not in BUILDERS:
            raise NotImplementedError(f"layer {layer.name} of type {kind}")
        # The layers below the cut are not in `model`: what they feed is fed by its input.
        sources = (values.get(name, nchw) for name in input_names(layer))
        values[layer.name] = BUILDERS[kind](ops, layer, *sources)
    result = values[model.layers[-1].name]
    if len(model.output.shape) == 4:
        result = ops.transpose(result, to_nhwc)
    return openvino.Model([result], [image], "trunk")


def _convolution(ops: Any, layer: Any, data: Any) -> Any:
    kernel, *bias = layer.get_weights()
    filters = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    auto_pad = "same_upper" if layer.padding == "same" else "valid"
    result = ops.convolution(data, filters, list(layer.strides), [0, 0], [0, 0], [1, 1], auto_pad)
    return ops.add(result, ops.constant(bias[0].reshape(1, -1, 1, 1))) if bias else result


def _batch_norm(ops: Any, layer: Any, data: Any) -> Any:
    gamma, beta, mean, variance = map(ops.constant, layer.get_weights())
    return ops.batch_norm_inference(data, gamma, beta, mean, variance, layer.epsilon)


def _zero_padding(ops: Any, layer: Any, data: Any) -> Any:
    (top, bottom), (left, right) = layer.padding
    begin, end = (ops.constant(np.array([0, 0, *sides])) for sides in ((top, left), (bottom, right)))
    return ops.pad(data, begin, end, "constant", ops.constant(np.float32(0)))


def _relu(ops: Any, layer: Any, data: Any) -> Any:
    if layer.activation is not keras.activations.relu:
        raise NotImplementedError(f"activation of layer {layer.name}")
    return ops.relu(data)


def _max_pool(ops: Any, layer: Any, data: Any) -> Any:
    return ops.max_pool(data, list(layer.strides), [1, 1], [0, 0], [0, 0], list(layer.pool_size)).output(0)


def _average_pool(ops: Any, layer: Any, data: Any) -> Any:
    return ops.avg_pool(data, list(layer.strides), [0, 0], [0, 0], list(layer.pool_size), exclude_pad=True)


BUILDERS: Final[dict[str, Callable[..., Any]]] = {
    "Conv2D": _convolution,
    "BatchNormalization": _batch_norm,
    "ZeroPadding2D": _zero_padding,
    "Activation": _relu,
    "MaxPooling2D": _max_pool,
    "AveragePooling2D": _average_pool,
    "Concatenate": lambda ops, layer, *parts: ops.concat(list(parts), 1),
    "GlobalAveragePooling2D": lambda ops, layer, data: ops.reduce_mean(
        data, ops.constant(np.array([2, 3])), keep_dims=False
    ),
}
