"""Small things that several tests make."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from xray_infer.model.json_records import from_json
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Adaptation, Figure, Training

if TYPE_CHECKING:
    from xray_infer.train.schedule import TrainConfig


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def example_manifest(**changes: object) -> ModelManifest:
    """A manifest that says little; its training record may be given as the file has it."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "0",
        "method": "fine_tuning",
        "format": "onnx",
        "recipe": "fp32",
        "temperature": 1.0,
        "training": {},
        "parity": None,
        "tool_versions": {},
        "intended_use": "tests",
    }
    fields |= changes
    return ModelManifest(**fields | {"training": from_json(Training, fields["training"])})


def example_adaptation(**changes: Any) -> Adaptation:
    """The descent of a head that was fitted to 40 films."""
    figures = {"pixels": Figure(0.61, (0.5, 0.7))}
    fields: dict[str, Any] = {
        "parent": "parent.onnx",
        "parent_sha256": "ab" * 32,
        "data_sha256": "cd" * 32,
        "films": {"ill": 18, "well": 22},
        "groups": 33,
        "left_out": 1,
        "strength": 0.01,
        "balanced_accuracy": Figure(0.813, (0.7, 0.9)),
        "beside": figures,
        "gains": figures,
        "recalls": {"ill": 0.8, "well": 0.82},
        "coverage": 0.9,
        "accuracy": 0.85,
    }
    return Adaptation(**fields | changes)


def quick_config(**changes: Any) -> TrainConfig:
    """The study's schedule with two epochs and one, on random weights and a small input."""
    from xray_infer.images.preprocess import Preprocessing
    from xray_infer.train.schedule import SCHEDULES, TrainConfig

    schedule = replace(SCHEDULES["study"].with_stages(epochs=(2, 1)), batch_size=8, views=2)
    small = TrainConfig(weights="none", schedule=schedule, preprocessing=Preprocessing(side=64))
    return replace(small, **changes)


class HtmlPage(HTMLParser):
    """Collects the elements and the text of an HTML file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@contextmanager
def ordinary_user(readable: Path, writable: Path) -> Iterator[None]:
    """Give up root's rights for a while: root passes through every closed door."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for path in (readable, *readable.parents, *writable.parents):
        if path.owner() == "root" and path.stat().st_mode & 0o077 == 0:
            path.chmod(path.stat().st_mode | 0o055)
    readable.chmod(0o644)
    os.chown(writable, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)
