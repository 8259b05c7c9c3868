"""The forward pass as TFLite: batch size 1, signature `image` -> `probabilities`, `cam`, `features`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from xray_infer.export.densenet import WHITE, Array, Convolution, DenseNet, MaxPool
from xray_infer.export.forward import forward
from xray_infer.model.manifest import INPUT_NAME, OUTPUT_NAMES


class TensorFlowOps:
    """Traces TensorFlow operations; tensors are NHWC. See `forward.Ops`."""

    def __init__(self, image: tf.Tensor) -> None:
        self._image = image

    def image(self, centre: int) -> tf.Tensor:
        """See `forward.Ops`."""
        gray = tf.cast(self._image, tf.float32) - float(centre)
        return tf.pad(gray, [[0, 0], [0, 0], [0, 0], [0, 1]], constant_values=float(WHITE - centre))

    def convolve(self, values: tf.Tensor, convolution: Convolution) -> tf.Tensor:
        """See `forward.Ops`."""
        kernel = convolution.kernel.astype(np.float32)
        if convolution.stride == 1 and 2 * convolution.padding + 1 == kernel.shape[0]:
            padding = "SAME"
        else:
            padding, values = "VALID", _padded(values, convolution.padding)
        if convolution.depthwise:
            steps = [1, convolution.stride, convolution.stride, 1]
            output = tf.nn.depthwise_conv2d(values, kernel.transpose(0, 1, 3, 2), steps, padding)
        else:
            output = tf.nn.conv2d(values, kernel, convolution.stride, padding)
        output = output + convolution.bias.astype(np.float32)
        return tf.nn.relu(output) if convolution.relu else output

    def max_pool(self, values: tf.Tensor, pool: MaxPool) -> tf.Tensor:
        """See `forward.Ops`."""
        # A ReLU gives no value below the padding's zeros.
        return tf.nn.max_pool2d(_padded(values, pool.padding), pool.size, pool.stride, "VALID")

    def concatenate(self, values: tf.Tensor, more: tf.Tensor) -> tf.Tensor:
        """See `forward.Ops`."""
        return tf.concat([values, more], axis=-1)

    def answers(
        self, features: tf.Tensor, cam: tf.Tensor, bias: Array, temperature: float
    ) -> dict[str, tf.Tensor]:
        """See `forward.Ops`."""
        logits = tf.reduce_mean(cam, axis=(1, 2)) + bias.astype(np.float32)
        probabilities = tf.nn.softmax(logits / np.float32(temperature))
        pooled = tf.reduce_mean(features, axis=(1, 2))
        return dict(zip(OUTPUT_NAMES, (probabilities, cam, pooled), strict=True))


def _padded(values: tf.Tensor, sides: int) -> tf.Tensor:
    return tf.pad(values, [[0, 0], [sides, sides], [sides, sides], [0, 0]]) if sides else values


@contextmanager
def _converter(network: DenseNet) -> Iterator[tf.lite.TFLiteConverter]:
    """Yield a converter of the network, to be used before the context ends.

    Through a saved model, because `from_concrete_functions` loses the names of the outputs.
    """
    signature = tf.TensorSpec((1, network.side, network.side, 1), tf.uint8, name=INPUT_NAME)
    infer = tf.function(lambda image: forward(network, TensorFlowOps(image)), input_signature=[signature])
    module = tf.Module()
    module.infer = infer
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": infer})
        yield tf.lite.TFLiteConverter.from_saved_model(folder)


def to_float32(network: DenseNet) -> bytes:
    """Convert without quantisation."""
    with _converter(network) as converter:
        return bytes(converter.convert())


def to_float16(network: DenseNet) -> bytes:
    """Store weights as float16; a CPU computes in float32 all the same."""
    with _converter(network) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())
