"""OpenVINO's own int8: NNCF's post-training quantisation of our fp32 file, with its defaults."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xray_infer.atomic import write_atomically
from xray_infer.runtimes.ov import import_openvino


def quantize(model: Path, out: Path, images: np.ndarray) -> None:
    """Write an OpenVINO IR; the ranges are those of images uint8 [N, 224, 224, 1]."""
    openvino = import_openvino()
    import nncf

    network = openvino.Core().read_model(str(model))
    calibration = nncf.Dataset([image[None] for image in images])
    quantized = nncf.quantize(network, calibration, subset_size=len(images))

    def save(temporary: Path) -> None:
        openvino.save_model(quantized, str(temporary))
        # The weights stand in a second file, which the first finds by its own name.
        temporary.with_suffix(".bin").replace(out.with_suffix(".bin"))

    write_atomically(out, save)
