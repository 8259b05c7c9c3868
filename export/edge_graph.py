"""The Keras classifier as an inference graph: gray uint8 in, probabilities and class activation map out.

    image uint8 [N, 224, 224, 1] -> scale and shift per channel -> features [N, 7, 7, K]
    cam = features . W, a 1x1 convolution with the Dense kernel      float32 [N, 7, 7, 3]
    logits = mean of cam over 7 x 7 + bias; probabilities = softmax(logits / temperature)

Pooling and a linear layer commute, so this equals GlobalAveragePooling2D and Dense, and the head's weights
exist once: mean(cam) + bias = logits holds in every format by construction. The map is Zhou et al. 2016's
CAM; divided by 49 it is Grad-CAM of the logit before its ReLU (Selvaraju et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import ModelError
from xray_infer.manifest import INPUT_NAME, OUTPUT_NAMES
from xray_infer.preprocess import INPUT_SHAPE

layers, ops = keras.layers, keras.ops

AUGMENTATION: Final = (
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
    layers.RandomContrast,
    layers.RandomBrightness,
)


@dataclass(frozen=True, slots=True, eq=False)
class EdgeGraph:
    """One classifier, taken apart.

    `classifier` is the untouched Keras model, the reference for the parity gate; `features` maps its
    uint8 input to the last feature map. `body` maps normalised float32 [N, 224, 224, 3] to the same
    feature map, `pixel_scale` and `pixel_offset` (float32 [3]) normalise gray levels 0..255 for it.
    `kernel` is float32 [K, 3], `bias` float32 [3].
    """

    classifier: keras.Model
    features: keras.Model
    body: keras.Model
    pixel_scale: NDArray[np.float32]
    pixel_offset: NDArray[np.float32]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float = 1.0


def load_classifier(path: Path) -> keras.Model:
    """Load a .keras file without its optimiser. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: Keras cannot load this file: {str(error).splitlines()[0]}") from error


def take_apart(classifier: keras.Model, *, path: Path, temperature: float = 1.0) -> EdgeGraph:
    """Find head, body and normalisation by structure; `path` names the model in errors.

    Raises ModelError for a network of another structure.
    """
    feature_map, kernel, bias = _head(classifier, path)
    normalised, scale, offset = _normalisation(classifier, path)
    return EdgeGraph(
        classifier=classifier,
        features=keras.Model(classifier.input, feature_map),
        body=keras.Model(normalised, feature_map),
        pixel_scale=scale,
        pixel_offset=offset,
        kernel=kernel,
        bias=bias,
        temperature=temperature,
    )


def _head(model: keras.Model, path: Path) -> tuple[keras.KerasTensor, NDArray, NDArray]:
    """Return the last feature map and the kernel and bias of the Dense layer that follows its pooling."""
    nested = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    if nested:
        raise ModelError(f"{path}: the network is nested as layer {nested[0]!r}; build it flat")
    dense = model.layers[-1]
    if not isinstance(dense, layers.Dense):
        raise ModelError(f"{path}: the last layer is {type(dense).__name__}, expected Dense")
    if dense.units != len(CLASS_NAMES):
        raise ModelError(f"{path}: the model has {dense.units} outputs, expected {len(CLASS_NAMES)}")
    if dense.activation is not keras.activations.softmax:
        raise ModelError(f"{path}: the last layer's activation is not softmax")
    pooling = dense.input._keras_history.operation
    if not isinstance(pooling, layers.GlobalAveragePooling2D):
        raise ModelError(
            f"{path}: the Dense layer follows {type(pooling).__name__}, expected GlobalAveragePooling2D"
        )
    kernel = ops.convert_to_numpy(dense.kernel)
    bias = ops.convert_to_numpy(dense.bias) if dense.use_bias else np.zeros(dense.units, np.float32)
    return pooling.input, kernel, bias


def _normalisation(model: keras.Model, path: Path) -> tuple[keras.KerasTensor, NDArray, NDArray]:
    """Fold the layers from the input to Normalization into one scale and offset for each channel.

    Augmentation does nothing at inference. Any other layer in front of Normalization is refused.
    """
    shape, dtype = tuple(model.input.shape[1:]), model.input.dtype
    if shape != INPUT_SHAPE or dtype != "uint8":
        raise ModelError(f"{path}: the input is {dtype} {shape}, expected uint8 {INPUT_SHAPE}")
    scale, offset = np.float64(1), np.float64(0)
    for layer in model.layers:
        match layer:
            case layers.InputLayer() | layers.Concatenate():
                continue
            case _ if isinstance(layer, AUGMENTATION):
                continue
            case layers.Rescaling():
                scale, offset = scale * layer.scale, offset * layer.scale + layer.offset
            case layers.Normalization() if layer.output.shape[-1] == 3 and not layer.invert:
                mean = np.ravel(ops.convert_to_numpy(layer.mean)).astype(np.float64)
                deviation = np.sqrt(np.ravel(ops.convert_to_numpy(layer.variance)).astype(np.float64))
                scale, offset = scale / deviation, (offset - mean) / deviation
                return layer.output, scale.astype(np.float32), offset.astype(np.float32)
            case _:
                raise ModelError(f"{path}: unexpected layer {layer.name!r} in front of the normalisation")
    raise ModelError(f"{path}: no Normalization layer between the input and the network")


def edge_function(
    graph: EdgeGraph, *, batch: int | None = None, channels_first_input: bool = False
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Return the inference graph as a tf.function of `image`, its batch size fixed or (None) free.

    `channels_first_input` normalises in NCHW, where a one-channel image is a mere reshape, and transposes
    for the NHWC body: a converter to an NCHW format cancels that transposition against its own.
    """
    height, width, _ = INPUT_SHAPE
    kernel = graph.kernel[None, None]

    def infer(image: tf.Tensor) -> dict[str, tf.Tensor]:
        if channels_first_input:
            pixels = tf.cast(tf.reshape(image, (-1, 1, height, width)), tf.float32)
            normalised = pixels * graph.pixel_scale[:, None, None] + graph.pixel_offset[:, None, None]
            normalised = tf.transpose(normalised, (0, 2, 3, 1))
        else:
            normalised = tf.cast(image, tf.float32) * graph.pixel_scale + graph.pixel_offset
        cam = tf.nn.conv2d(graph.body(normalised, training=False), kernel, strides=1, padding="VALID")
        logits = tf.reduce_mean(cam, axis=(1, 2)) + graph.bias
        probabilities = tf.nn.softmax(logits / graph.temperature)
        return dict(zip(OUTPUT_NAMES, (probabilities, cam), strict=True))

    signature = tf.TensorSpec((batch, *INPUT_SHAPE), tf.uint8, name=INPUT_NAME)
    return tf.function(infer, input_signature=[signature])
