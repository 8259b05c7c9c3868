"""A trained Keras classifier, checked and taken apart for export: itself, and its network as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import keras
import numpy as np

from xray_infer.errors import ModelError
from xray_infer.export.calibration import ImageStream
from xray_infer.export.densenet import Array, Convolution, DenseNet, Reader, gray_stem
from xray_infer.images.preprocess import SIDES
from xray_infer.study.reference import BATCH_SIZE, Reference, extreme_inputs
from xray_infer.study.temperature import at_temperature

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
class PixelScaling:
    """Scale and offset of gray levels for three planes, float64 [3], and the stem that reads them."""

    scale: Array
    offset: Array
    stem: Convolution


@dataclass(frozen=True, slots=True, eq=False)
class EdgeGraph:
    """One classifier, taken apart.

    `classifier` is the untouched Keras model, the reference for the parity gate; `features` maps its
    uint8 input to the last feature map; `network` is what the exported graphs are built from;
    `pixels` is what has been folded into its stem.
    """

    classifier: keras.Model
    features: keras.Model
    network: DenseNet
    pixels: PixelScaling


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
    reader = Reader(classifier, path)
    stem, tensor = reader.folded(normalised)
    gray, centre = gray_stem(stem, scale, offset)
    pool, tensor = reader.max_pool(tensor)
    blocks, last, tensor = reader.blocks(tensor)
    if tensor is not feature_map:
        raise reader.error("its last ReLU is not what is pooled")
    network = DenseNet(
        side=classifier.input.shape[1],
        centre=centre,
        stem=gray,
        pool=pool,
        blocks=blocks,
        last=last,
        head=Convolution(kernel[None, None], np.zeros(len(bias))),
        bias=bias,
        temperature=temperature,
    )
    features = keras.Model(classifier.input, feature_map)
    return EdgeGraph(classifier, features, network, PixelScaling(scale, offset, stem))


def _head(model: keras.Model, path: Path) -> tuple[keras.KerasTensor, Array, Array]:
    """Return the last feature map, and kernel [K, C] and bias [C] of the Dense layer after its pooling."""
    nested = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    if nested:
        raise ModelError(f"{path}: the network is nested as layer {nested[0]!r}; build it flat")
    dense = model.layers[-1]
    if not isinstance(dense, layers.Dense):
        raise ModelError(f"{path}: the last layer is {type(dense).__name__}, expected Dense")
    if dense.activation is not keras.activations.softmax:
        raise ModelError(f"{path}: the last layer's activation is not softmax")
    pooling = dense.input._keras_history.operation
    if not isinstance(pooling, layers.GlobalAveragePooling2D):
        raise ModelError(
            f"{path}: the Dense layer follows {type(pooling).__name__}, expected GlobalAveragePooling2D"
        )
    kernel = ops.convert_to_numpy(dense.kernel).astype(np.float64)
    bias = ops.convert_to_numpy(dense.bias) if dense.use_bias else np.zeros(dense.units)
    return pooling.input, kernel, bias.astype(np.float64)


def _normalisation(model: keras.Model, path: Path) -> tuple[keras.KerasTensor, Array, Array]:
    """Fold the layers from the input to Normalization into one scale and offset for each channel.

    Augmentation does nothing at inference. Any other layer in front of Normalization is refused.
    """
    shape, dtype = tuple(model.input.shape[1:]), model.input.dtype
    if shape not in {(side, side, 1) for side in SIDES} or dtype != "uint8":
        raise ModelError(
            f"{path}: the input is {dtype} {shape}, expected uint8 (side, side, 1), side "
            f"from {SIDES[0]} to {SIDES[-1]}, a multiple of {SIDES.step}"
        )
    scale: Array = np.ones(1)
    offset: Array = np.zeros(1)
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
                return layer.output, scale, offset
            case _:
                raise ModelError(f"{path}: unexpected layer {layer.name!r} in front of the normalisation")
    raise ModelError(f"{path}: no Normalization layer between the input and the network")


def make_reference(graph: EdgeGraph, images: ImageStream) -> Reference:
    """Ask the untouched Keras model: its own normalisation, pooling and head."""
    inputs = np.concatenate([np.stack(list(images)), extreme_inputs(images.preprocessing.side)])
    both = keras.Model(graph.classifier.input, [graph.features.output, graph.classifier.output])
    features, probabilities = both.predict(inputs, batch_size=BATCH_SIZE, verbose=0)
    return Reference(
        inputs=inputs,
        probabilities=at_temperature(probabilities, graph.network.temperature),
        cam=features @ ops.convert_to_numpy(graph.classifier.layers[-1].kernel),
        labels=images.labels,
    )
