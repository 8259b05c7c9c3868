"""A classifier with the layers that `xray-train` looks for, small enough to be trained in seconds."""

from __future__ import annotations

from typing import Any

import keras

from xray_infer.images.preprocess import STUDY
from xray_infer.model.manifest import INPUT_NAME
from xray_infer.train.network import AUGMENTATIONS, HEAD, NORMALISED, POOLED

UNFROZEN = 3  # so many layers are the top: the second convolution, its normalisation and activation


def build_tiny_classifier(
    weights: str, *, classes: int, seed: int, augmentation: str = "study", side: int = STUDY.side
) -> keras.Model:
    """As `build_classifier`, whatever the weights."""
    layers: Any = keras.layers
    image = keras.Input((side, side, 1), dtype="uint8", name=INPUT_NAME)
    values = layers.Rescaling(1 / 255)(image)
    for change in AUGMENTATIONS[augmentation](seed):
        values = change(values)
    values = layers.Concatenate()([values, values, values])
    values = layers.Normalization(mean=[0.5] * 3, variance=[0.1] * 3, name=NORMALISED)(values)
    values = layers.ZeroPadding2D(1)(values)
    initializer = keras.initializers.HeNormal(seed=seed)
    values = layers.Conv2D(8, 8, strides=8, kernel_initializer=initializer, name="conv1_conv")(values)
    values = layers.BatchNormalization(name="conv1_bn")(values)
    values = layers.Activation("relu", name="conv1_relu")(values)
    values = layers.Conv2D(8, 3, strides=2, kernel_initializer=initializer, name="conv2_conv")(values)
    values = layers.BatchNormalization(name="bn")(values)
    values = layers.Activation("relu", name="relu")(values)
    pooled = layers.GlobalAveragePooling2D(name=POOLED)(values)
    head = keras.initializers.GlorotUniform(seed=seed)
    scores = layers.Dense(classes, activation="softmax", kernel_initializer=head, name=HEAD)(pooled)
    return keras.Model(image, scores)
