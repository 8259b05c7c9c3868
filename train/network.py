"""The classifier: augmentation, normalisation, DenseNet121, pooling and a linear head, as one flat graph.

Flat, because a backbone nested as a layer breaks Grad-CAM and export. DenseNet: Huang et al. 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import keras

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import ModelError
from xray_infer.manifest import INPUT_NAME
from xray_infer.preprocess import IMAGENET_MEAN, IMAGENET_STD, INPUT_SHAPE

MAX_ROTATION: Final = 0.03  # of a full turn: within 11 degrees

# Keras's default momentum of 0.99 does not matter here: BatchNormalization never trains in either method.


def build_classifier(weights: str | Path, *, seed: int) -> keras.Model:
    """Build the untrained classifier on a pre-trained backbone.

    `weights` is "imagenet" (Keras fetches them), "none" (random), or the path of a backbone saved by
    `xray-train pretrain`. Input: gray `uint8 [N, 224, 224, 1]`; output: probabilities `float [N, 3]`.
    Raises ModelError when the weights cannot be had.
    """
    image = keras.Input(INPUT_SHAPE, dtype="uint8", name=INPUT_NAME)
    values = keras.layers.Rescaling(1 / 255, name="to_unit_range")(image)
    values = keras.layers.RandomFlip("horizontal", seed=seed, name="random_flip")(values)
    values = keras.layers.RandomRotation(
        MAX_ROTATION, fill_mode="constant", fill_value=0.0, seed=seed + 1, name="random_rotation"
    )(values)
    values = keras.layers.Concatenate(name="gray_to_rgb")([values, values, values])
    variance = [deviation**2 for deviation in IMAGENET_STD]
    values = keras.layers.Normalization(mean=IMAGENET_MEAN, variance=variance, name="imagenet")(values)
    base = keras.applications.DenseNet121(include_top=False, weights=None, input_tensor=values)
    _load_backbone(base, weights)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(base.output)
    initializer = keras.initializers.GlorotUniform(seed=seed)
    probabilities = keras.layers.Dense(
        len(CLASS_NAMES), activation="softmax", kernel_initializer=initializer, name="probabilities"
    )(pooled)
    return keras.Model(image, probabilities, name="densenet121")


def _load_backbone(base: keras.Model, weights: str | Path) -> None:
    if weights == "none":
        return
    if weights == "imagenet":
        try:
            source = keras.applications.DenseNet121(include_top=False, weights="imagenet")
        except Exception as error:  # Keras raises whatever its downloader met
            raise ModelError(
                f"the ImageNet weights could not be fetched ({error}); "
                "without a network, give --weights FILE from `xray-train pretrain`"
            ) from error
    else:
        try:
            source = keras.saving.load_model(weights, compile=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"{weights}: cannot load the backbone: {error}") from error
    try:
        # By position: Keras numbers the padding layers' names through a process.
        for layer, trained in zip(backbone_layers(base), backbone_layers(source), strict=True):
            layer.set_weights(trained.get_weights())
    except ValueError as error:
        raise ModelError(f"{weights}: not a DenseNet121 backbone: {error}") from error


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return DenseNet121's own layers, those from its first convolution's padding to its last ReLU.

    Raises ValueError when the model has no such layers.
    """
    names = [layer.name for layer in model.layers]
    # Keras numbers the padding's name (zero_padding2d_3) but not that of the convolution after it.
    return model.layers[names.index("conv1_conv") - 1 : names.index("relu") + 1]


def freeze(model: keras.Model, *, unfrozen: int) -> None:
    """Leave only the head and the backbone's top `unfrozen` layers trainable.

    BatchNormalization stays frozen, which in Keras also keeps it in inference mode: its statistics come
    from far more images than a small data set has.
    """
    layers = backbone_layers(model)
    for index, layer in enumerate(layers):
        is_top = index >= len(layers) - unfrozen
        layer.trainable = is_top and not isinstance(layer, keras.layers.BatchNormalization)
