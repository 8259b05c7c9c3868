"""A Keras network of every layer that DenseNet121 has, and few channels."""

import keras


def small_network() -> keras.Model:
    """Return a network from `[N, H, W, 3]` to 12 channels."""
    layers = keras.layers
    image = keras.Input((None, None, 3))
    values = layers.ZeroPadding2D(((3, 2), (1, 0)))(image)
    values = layers.Conv2D(8, 7, strides=2, use_bias=False)(values)
    values = layers.Activation("relu")(layers.BatchNormalization(epsilon=1.001e-5)(values))
    values = layers.MaxPooling2D(3, strides=2)(values)
    branch = layers.Conv2D(4, 3, padding="same")(values)
    values = layers.AveragePooling2D(2, strides=2)(layers.Concatenate()([values, branch]))
    return keras.Model(image, values)
