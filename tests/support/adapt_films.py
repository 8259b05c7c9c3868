"""A small model file whose features are textures, and films of two textures or three, for tests of adapt.

The files are as exported ones are at their end; no TensorFlow is needed. Stripes have a period of eight
pixels: at 20 x 20 pixels nothing of them is left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from specimens import example_manifest, png

from xray_infer.model.embedding import MANIFEST_KEY
from xray_infer.model.manifest import OUTPUT_NAMES, SCORE_NAME, ModelManifest

SIDE: Final = 64
CELL: Final = 32
PERIOD: Final = 8
ANGLES: Final = (0.0, np.pi / 2, np.pi / 4)  # of the textures
CHANNELS: Final = 24


def texture(kind: int, phase: float, side: int = SIDE) -> NDArray[np.float64]:
    """Return stripes, -1..1, of one of ANGLES."""
    rows, columns = np.indices((side, side))
    along = np.cos(ANGLES[kind]) * columns + np.sin(ANGLES[kind]) * rows
    return np.asarray(np.sin(2 * np.pi * along / PERIOD + phase))


def film(kind: int, seed: int, *, strength: float = 12.0) -> NDArray[np.uint8]:
    """Return a film, uint8 [64, 64]: rough noise, fine noise and a texture."""
    rng = np.random.default_rng(1000 * kind + seed)
    rough = cv2.resize(rng.normal(0, 25, (4, 4)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    pixels = 120 + rough + rng.normal(0, 8, (SIDE, SIDE))
    pixels += strength * texture(kind, rng.uniform(0, 2 * np.pi))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def plant_films(root: Path, *, count: int = 16, names: tuple[str, ...] = ("sick", "well")) -> Path:
    """Write so many films of each class, of a texture of its own, into its folder."""
    for kind, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:02d}.png").write_bytes(png(film(kind, number)))
    return root


def texture_manifest(**changes: Any) -> ModelManifest:
    fields = {
        "input_shape": (SIDE, SIDE, 1),
        "output_names": (*OUTPUT_NAMES, SCORE_NAME),
        "thresholds": {SCORE_NAME: 140.0, "confidence": 0.7},
        "class_names": ("old", "older", "oldest"),
    }
    return example_manifest(**fields | changes)


def texture_model(path: Path, **changes: Any) -> Path:
    """Write an ONNX file: maps of 24 textures, 32 x 32 pixels a cell, a head, and a score.

    The score is the mean gray.
    """
    manifest = texture_manifest(**changes)
    classes = len(manifest.class_names)
    nodes = [
        helper.make_node("Cast", ["image"], ["gray"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["gray", "planes"], ["nchw"]),
        helper.make_node("Conv", ["nchw", "kernels"], ["lines"], strides=[CELL, CELL]),
        helper.make_node("Relu", ["lines"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"], axis=1),
        helper.make_node("Conv", ["maps", "kernel", "zeros"], ["raw"]),
        helper.make_node("Transpose", ["raw"], ["cam"], perm=[0, 2, 3, 1]),
        helper.make_node("GlobalAveragePool", ["raw"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("Add", ["flat", "bias"], ["logits"]),
        helper.make_node("Div", ["logits", "temperature"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=-1),
        helper.make_node("GlobalAveragePool", ["nchw"], ["level"]),
        helper.make_node("Reshape", ["level", "rows"], [SCORE_NAME]),
    ]
    rng = np.random.default_rng(3)
    constants = {
        "planes": np.array([-1, 1, SIDE, SIDE]),
        "rows": np.array([-1]),
        "kernels": _kernels()[:, None],
        "kernel": rng.normal(0, 0.1, (classes, CHANNELS, 1, 1)).astype(np.float32),
        "zeros": np.zeros(classes, np.float32),
        "bias": rng.normal(0, 1, classes).astype(np.float32),
        "temperature": np.array([manifest.temperature], np.float32),
    }
    sides = SIDE // CELL
    outputs: dict[str, list[str | int | None]] = {
        "probabilities": ["batch", classes],
        "cam": ["batch", sides, sides, classes],
        "features": ["batch", CHANNELS],
        SCORE_NAME: ["batch"],
    }
    graph = helper.make_graph(
        nodes,
        "textures",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, outputs[name])
            for name in manifest.output_names
        ],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    if SCORE_NAME not in manifest.output_names:
        del graph.node[-2:]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def _kernels() -> NDArray[np.float32]:
    """Return stripes of four phases and random patterns, float32 [24, 32, 32], each of mean 0."""
    phases = np.arange(4) * np.pi / 2
    stripes = [texture(kind, phase, CELL) for kind in range(len(ANGLES)) for phase in phases]
    rng = np.random.default_rng(2)
    rest = [rng.normal(0, 0.7, (CELL, CELL)) for _ in range(CHANNELS - len(stripes))]
    made = np.stack([*stripes, *rest])
    return np.asarray((made - made.mean(axis=(1, 2), keepdims=True)) / CELL**2, np.float32)
