"""Grad-CAM overlays from the model's second output, without gradients.

The head is global average pooling and one dense layer, so the gradient of a class's logit with respect
to the last feature map is constant, and Grad-CAM (Selvaraju et al. 2017) of the logit is
ReLU(cam[..., class]) / 49, where `cam` comes with the forward pass. It is the logit's map, not that of the
softmax probability.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES, HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.errors import OutputError
from xray_infer.results import Row
from xray_infer.sources.selection import OVERLAY_SUFFIX

OVERLAY_SIDE: Final = 768  # longer side of the drawn picture, in pixels
MAX_OPACITY: Final = 0.55
_UNSAFE: Final = frozenset('%\\:*?"<>|')  # Windows takes none of them
_MOST_NAME_BYTES: Final = 255  # of the usual file systems
_LINE: Final = 26
_MARGIN: Final = 10


def grad_cam(cam: NDArray[np.float32], class_index: int) -> NDArray[np.float32]:
    """Return one class's Grad-CAM, float32 [7, 7] >= 0, from the model's `cam` of one image, [7, 7, 3]."""
    heat: NDArray[np.float32] = np.maximum(cam[..., class_index], 0) / (cam.shape[0] * cam.shape[1])
    return heat


def draw_overlay(gray: NDArray[np.uint8], cam: NDArray[np.float32], row: Row) -> NDArray[np.uint8]:
    """Draw the most probable class's heat map over the picture.

    `gray` is uint8 [H, W], `cam` float32 [7, 7, 3]. Returns BGR uint8: the picture with its longer side at
    768 pixels, coloured from transparent (no heat) to the map's own maximum, a colour bar, and a caption
    with label, probabilities and the notices.
    """
    height, width = gray.shape
    scale = OVERLAY_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = cv2.cvtColor(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    heat = grad_cam(cam, CLASS_NAMES.index(row.raw_label))
    peak = float(heat.max())
    if peak > 0:
        smooth = np.clip(cv2.resize(heat / peak, size, interpolation=cv2.INTER_CUBIC), 0, 1)
        colours = cv2.applyColorMap((smooth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
        opacity = (MAX_OPACITY * smooth)[..., None]
        picture = (picture * (1 - opacity) + colours * opacity).astype(np.uint8)
    bar = np.linspace(255, 0, size[1]).astype(np.uint8)[:, None].repeat(14, axis=1)
    body = np.hstack(
        [picture, np.zeros((size[1], 4, 3), np.uint8), cv2.applyColorMap(bar, cv2.COLORMAP_INFERNO)]
    )
    return np.vstack([body, _caption(row, peak, body.shape[1])])


def _caption(row: Row, peak: float, width: int) -> NDArray[np.uint8]:
    chances = ", ".join(
        f"{name} {value:.1%}" for name, value in zip(CLASS_NAMES, row.probabilities, strict=True)
    )
    what = f"Grad-CAM of '{row.raw_label}'" if peak > 0 else f"No region speaks for '{row.raw_label}'"
    lines = (f"{row.label}: {chances}", f"{what}. {HEATMAP_NOTICE}", RESEARCH_NOTICE)
    caption = np.zeros((_LINE * len(lines) + _MARGIN, width, 3), np.uint8)
    for number, line in enumerate(lines):
        (text_width, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        fitted = 0.5 * min(1.0, (width - 2 * _MARGIN) / max(1, text_width))
        place = (_MARGIN, _LINE * (number + 1) - 6)
        cv2.putText(caption, line, place, cv2.FONT_HERSHEY_SIMPLEX, fitted, (255, 255, 255), 1, cv2.LINE_AA)
    return caption


def overlay_path(folder: Path, name: str) -> Path:
    """Return where an item's overlay goes: inside `folder`, with the sub-folders and the suffix of its name.

    No two names collide, and none leads out of the folder: a list may hold absolute paths, URIs and `..`.
    What a file name must not hold, and the percent sign itself, is percent-encoded (RFC 3986, section 2.1);
    a part that is too long is cut, and its digest put in place.
    """
    *folders, last = name.split("/")
    return Path(folder, *map(_file_name, folders), _file_name(last, suffix=OVERLAY_SUFFIX))


def _file_name(part: str, *, suffix: str = "") -> str:
    """Return one part of a name as the name of a file or a folder."""
    if not part.strip("."):  # empty, in "/root" and "s3://"; "." and ".."
        return part.replace(".", "%2E") + suffix or "%2F"
    safe = "".join(f"%{ord(one):02X}" if one in _UNSAFE or one < " " else one for one in part)
    encoded = os.fsencode(safe)
    if len(encoded) + len(suffix) <= _MOST_NAME_BYTES:
        return safe + suffix
    digest = hashlib.sha256(os.fsencode(part)).hexdigest()[:16]
    kept = encoded[: _MOST_NAME_BYTES - len(digest) - 1 - len(suffix)].decode("utf-8", "ignore")
    return f"{kept}~{digest}{suffix}"


def write_overlay(path: Path, overlay: NDArray[np.uint8]) -> None:
    """Write an overlay as PNG, making its folder. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", overlay)[1].tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot write the heat map: {error.strerror}") from error
