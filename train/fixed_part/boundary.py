"""The freeze boundary: a classifier cut into a fixed part below and a trainable part above.

Everything below the lowest trainable layer is a fixed function of the image. Its output can be computed
once for each view of an image and kept (`stores`), while the part above is trained on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

from xray_infer.train.network import NORMALISED


@dataclass(frozen=True, slots=True)
class Parts:
    """A classifier in three models that share its layers, so that training `top` trains the classifier.

    `views`: image `uint8 [N, side, side, 1]` -> augmented, normalised `float [N, side, side, 3]`;
    `trunk`: that -> features at the boundary, `float [N, ...]`;
    `top`: features -> probabilities `[N, 3]`. `features` is the tensor at the cut, in the classifier's graph.
    """

    views: keras.Model
    trunk: keras.Model
    top: keras.Model
    boundary: str
    features: keras.KerasTensor


def divide(model: keras.Model) -> Parts:
    """Cut a classifier at the highest layer with nothing trainable at or below it."""
    boundary = _highest_fixed_cut(model)
    normalised = model.get_layer(NORMALISED).output
    features = model.get_layer(boundary).output
    return Parts(
        views=keras.Model(model.input, normalised, name="views"),
        trunk=keras.Model(normalised, features, name="trunk"),
        top=keras.Model(features, model.output, name="top"),
        boundary=boundary,
        features=features,
    )


def _highest_fixed_cut(model: keras.Model) -> str:
    """Name the last layer that alone feeds all that follows it, with every trainable layer after it."""
    names = [layer.name for layer in model.layers]
    last_use = dict.fromkeys(names, 0)
    for index, layer in enumerate(model.layers):
        for source in input_names(layer):
            last_use[source] = index
    trainable = [index for index, layer in enumerate(model.layers) if layer.trainable_weights]
    below = trainable[0] if trainable else len(names)
    first = names.index(NORMALISED)
    cuts: list[str] = []
    needed_until = 0
    for index, name in enumerate(names[:below]):
        if index >= first and needed_until <= index:
            cuts.append(name)
        needed_until = max(needed_until, last_use[name])
    return cuts[-1]


def input_names(layer: keras.Layer) -> list[str]:
    """Name the layers whose outputs a layer of a flat functional model takes, in order."""
    if isinstance(layer, keras.layers.InputLayer):
        return []
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in inputs]
