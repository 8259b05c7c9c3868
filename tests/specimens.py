"""Small things that several tests make."""

from __future__ import annotations

import cv2
import numpy as np

from xray_infer.manifest import ModelManifest


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def example_manifest(**changes: object) -> ModelManifest:
    fields: dict = {
        "name": "tiny",
        "version": "0",
        "method": "fine_tuning",
        "format": "onnx",
        "recipe": "fp32",
        "temperature": 1.0,
        "training": {},
        "parity": {},
        "tool_versions": {},
        "intended_use": "tests",
    }
    return ModelManifest(**{**fields, **changes})
