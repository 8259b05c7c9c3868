"""A small network of DenseNet's structure, fitted to three kinds of pictures, for tests of the export."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from places import SAMPLES
from training_records import example_record

from xray_infer.classes import CLASS_NAMES
from xray_infer.export.calibration import draw
from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, LUNGS, STUDY, Preprocessing
from xray_infer.study.datasets import read_dataset, read_images
from xray_infer.study.training_record import write_training_record
from xray_infer.train.data.splits import random_split, write_manifest
from xray_infer.train.network import HEAD, NORMALISED, POOLED

METHOD = "tiny"
TEMPERATURE = 1.7


def _block(values: Any, width: int) -> Any:
    """Pre-activation, bottleneck, growth and concatenation, as in DenseNet."""
    new = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(values))
    new = keras.layers.Conv2D(2 * width, 1, use_bias=False)(new)
    new = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(new))
    new = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(new)
    return keras.layers.Concatenate()([values, new])


def _transition(values: Any) -> Any:
    """Normalisation, a convolution to half the channels, and pooling."""
    values = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(values))
    values = keras.layers.Conv2D(values.shape[-1] // 2, 1, use_bias=False)(values)
    return keras.layers.AveragePooling2D(2)(values)


def network(outputs: int = 3, side: int = STUDY.side, seed: int | None = None) -> Any:
    """The network; its layers have the names that `xray-train` looks for."""
    image = keras.Input((side, side, 1), dtype="uint8", name="image")
    values = keras.layers.Rescaling(1 / 255)(image)
    values = keras.layers.RandomFlip("horizontal", seed=0)(values)
    values = keras.layers.RandomRotation(0.03, seed=1)(values)
    values = keras.layers.RandomContrast(0.2, value_range=(0, 1), seed=2)(values)
    values = keras.layers.Concatenate()([values, values, values])
    variance = [deviation**2 for deviation in IMAGENET_STD]
    values = keras.layers.Normalization(mean=IMAGENET_MEAN, variance=variance, name=NORMALISED)(values)
    values = keras.layers.ZeroPadding2D(3)(values)
    values = keras.layers.Conv2D(8, 7, strides=4, use_bias=False, name="conv1_conv")(values)
    values = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(values))
    values = keras.layers.ZeroPadding2D(1)(values)
    values = keras.layers.MaxPooling2D(3, strides=2)(values)
    for _ in range(2):
        values = _transition(_block(values, 4))
    values = _block(_block(values, 4), 4)
    values = keras.layers.Activation("relu", name="relu")(keras.layers.BatchNormalization()(values))
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLED)(values)
    head = keras.layers.Dense(
        outputs, activation="softmax", kernel_initializer=keras.initializers.GlorotUniform(seed), name=HEAD
    )
    return keras.Model(image, head(pooled))


def build_small_classifier(
    weights: str, *, classes: int, seed: int, augmentation: str = "study", side: int = STUDY.side
) -> Any:
    """As `train.network.build_classifier`, whatever the weights: small, and with BatchNorm's statistics."""
    keras.utils.set_random_seed(seed)
    model = network(classes, side, seed)
    generator = np.random.default_rng(seed)
    stripes = np.where(np.indices((side, side))[generator.integers(0, 2, 24)] // 8 % 2, 1.0, 0.0)
    levels = generator.uniform(20, 120, (24, 1, 1)) + generator.choice((0, 120), (24, 1, 1)) * stripes
    noisy = np.clip(levels + generator.normal(0, 8, levels.shape), 0, 255)
    settle(model, noisy[..., None].astype(np.uint8))
    return model


def write_images(folder: Path) -> None:
    """Three classes that a small network can tell apart: dark, bright, striped. Thirty images each."""
    generator = np.random.default_rng(0)
    stripes: Any = np.where(np.arange(224) // 16 % 2, 200, 40)
    levels: tuple[Any, ...] = (60, 190, stripes)
    for name, level in zip(CLASS_NAMES, levels, strict=True):
        (folder / name).mkdir(parents=True)
        for index in range(30):
            noise = generator.normal(generator.uniform(-20, 20), 25, (224, 224))
            pixels = np.clip(level + noise, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{index}.png"), pixels)


def add_films(folder: Path) -> None:
    """Put the samples among them, in which lungs are found, two for each class."""
    for name, findings in zip(CLASS_NAMES, ("bilateral", "focal", "normal"), strict=True):
        for film in sorted(SAMPLES.glob(f"phantom_{findings}_*")):
            shutil.copy(film, folder / name)


def settle(model: Any, images: np.ndarray) -> None:
    """Give BatchNorm statistics of its own inputs."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            inputs = np.asarray(keras.Model(model.input, layer.input)(images))
            gamma = generator.uniform(0.5, 1.5, inputs.shape[-1])
            beta = generator.uniform(-0.2, 0.5, inputs.shape[-1])
            layer.set_weights([gamma, beta, inputs.mean((0, 1, 2)), inputs.var((0, 1, 2)) + 1e-3])


def fit(model: Any, images: np.ndarray, labels: Any) -> None:
    """Give BatchNorm statistics of its own inputs and the head a least-squares solution."""
    settle(model, images)
    pooled = np.asarray(keras.Model(model.input, model.layers[-1].input)(images))
    design = np.column_stack([pooled, np.ones(len(pooled))])
    solution, *_ = np.linalg.lstsq(design, 6.0 * np.eye(len(CLASS_NAMES))[labels], rcond=1e-3)
    model.layers[-1].set_weights([solution[:-1], solution[-1]])


def make_model(folder: Path, preprocessing: Preprocessing = STUDY) -> Path:
    """Make a fitted network with its training record; the data are in the folder `data` beside it."""
    write_images(folder / "data")
    if preprocessing.version == LUNGS:
        add_films(folder / "data")
    write_manifest(random_split(read_images(folder / "data"), seed=0), folder / "data" / "manifest.csv")
    dataset = read_dataset(folder / "data")
    train = draw(dataset, "train", count=48, seed=0, preprocessing=preprocessing)
    keras.utils.set_random_seed(0)
    model = network(side=preprocessing.side)
    fit(model, np.stack(list(train)), train.labels)
    path = folder / f"{METHOD}.keras"
    model.save(path)
    record = example_record(method=METHOD, data_sha256=dataset.digest, temperature=TEMPERATURE)
    facts = replace(record.facts, preprocessing_version=preprocessing.version)
    write_training_record(path.with_suffix(".json"), replace(record, facts=facts))
    return path
