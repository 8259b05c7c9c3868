"""The classifier: augmentation, normalisation, DenseNet121, pooling and a linear head, as one flat graph.

Flat, because a backbone nested as a layer breaks Grad-CAM and export. DenseNet: Huang et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import keras

from xray_infer.errors import ModelError
from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD
from xray_infer.model.manifest import INPUT_NAME

MAX_ROTATION: Final = 0.03  # of a full turn: within 11 degrees
# Mirrored at the edge, as Keras does by default: black corners would tell training images from all others.
FILL: Final = "reflect"
NORMALISED: Final = "imagenet"  # the layer whose output the backbone sees
POOLED: Final = "pooled"
HEAD: Final = "probabilities"

layers = keras.layers


def _flips(seed: int) -> list[keras.Layer]:
    return [layers.RandomFlip("horizontal", seed=seed, name="random_flip")]


def _flips_and_rotations(seed: int) -> list[keras.Layer]:
    return [
        *_flips(seed),
        layers.RandomRotation(MAX_ROTATION, fill_mode=FILL, seed=seed + 1, name="random_rotation"),
    ]


def _strong(seed: int) -> list[keras.Layer]:
    """Also shift, zoom, contrast and brightness: what differs from one hospital's films to another's."""
    return [
        *_flips_and_rotations(seed),
        layers.RandomTranslation(0.06, 0.06, fill_mode=FILL, seed=seed + 2, name="random_translation"),
        layers.RandomZoom((-0.2, 0.05), (-0.2, 0.05), fill_mode=FILL, seed=seed + 3, name="random_zoom"),
        layers.RandomContrast(0.25, value_range=(0, 1), seed=seed + 4, name="random_contrast"),
        layers.RandomBrightness(0.1, value_range=(0, 1), seed=seed + 5, name="random_brightness"),
    ]


AUGMENTATIONS: Final[dict[str, Callable[[int], list[keras.Layer]]]] = {
    "flips": _flips,
    "study": _flips_and_rotations,
    "strong": _strong,
}


def build_classifier(
    weights: str | Path, *, classes: int, seed: int, augmentation: str = "study", side: int = 224
) -> keras.Model:
    """Build the untrained classifier of so many classes on a pre-trained backbone.

    `weights` is "imagenet" (Keras fetches them), "none" (random), or the path of a backbone saved by
    `xray-train pretrain`; `augmentation` is a name in AUGMENTATIONS.
    Input: gray `uint8 [N, side, side, 1]`; output: probabilities `float [N, classes]`.
    Raises ModelError when the weights cannot be had.
    """
    image = keras.Input((side, side, 1), dtype="uint8", name=INPUT_NAME)
    values = layers.Rescaling(1 / 255, name="to_unit_range")(image)
    for augment in AUGMENTATIONS[augmentation](seed):
        values = augment(values)
    values = layers.Concatenate(name="gray_to_rgb")([values, values, values])
    variance = [deviation**2 for deviation in IMAGENET_STD]
    values = layers.Normalization(mean=IMAGENET_MEAN, variance=variance, name=NORMALISED)(values)
    base = keras.applications.DenseNet121(include_top=False, weights=None, input_tensor=values)
    load_backbone(base, weights)
    pooled = layers.GlobalAveragePooling2D(name=POOLED)(base.output)
    initializer = keras.initializers.GlorotUniform(seed=seed)
    probabilities = layers.Dense(classes, activation="softmax", kernel_initializer=initializer, name=HEAD)(
        pooled
    )
    return keras.Model(image, probabilities, name="densenet121")


def load_backbone(base: keras.Model, weights: str | Path) -> None:
    """Put "imagenet", "none" (which changes nothing) or a backbone file into a model's backbone.

    Raises ModelError when the weights cannot be had, or are not DenseNet121's.
    """
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


def backbone_layers(model: keras.Model) -> list[keras.Layer]:
    """Return DenseNet121's own layers, those from its first convolution's padding to its last ReLU.

    Raises ValueError when the model has no such layers.
    """
    names = [layer.name for layer in model.layers]
    # Keras numbers the padding's name (zero_padding2d_3) but not that of the convolution after it.
    return list(model.layers[names.index("conv1_conv") - 1 : names.index("relu") + 1])


def freeze(model: keras.Model, *, unfrozen: int) -> None:
    """Leave only the head and the backbone's top `unfrozen` layers trainable.

    BatchNormalization stays frozen, which in Keras also keeps it in inference mode: its statistics come
    from far more images than a small data set has.
    """
    backbone = backbone_layers(model)
    for index, layer in enumerate(backbone):
        is_top = index >= len(backbone) - unfrozen
        layer.trainable = is_top and not isinstance(layer, layers.BatchNormalization)
