"""OpenVINO's own int8: NNCF's post-training quantisation of our fp32 file, with its defaults.

Of the file's outputs only the probabilities are kept. With the map beside them, OpenVINO 2026.4.1 on a CPU
computes zeros for the mean of the last convolution, where it is int8 as NNCF makes it (our own int8 keeps
it in float): every image then gets the same answer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xray_infer.atomic import write_atomically
from xray_infer.model.manifest import OUTPUT_NAMES
from xray_infer.model.runtimes.ov import import_openvino


def quantize(model: Path, out: Path, images: np.ndarray) -> None:
    """Write an OpenVINO IR; the ranges are those of images uint8 [N, 224, 224, 1]."""
    openvino = import_openvino()
    import nncf

    whole = openvino.Core().read_model(str(model))
    network = openvino.Model(
        [whole.output(OUTPUT_NAMES[0])], whole.get_parameters(), whole.get_friendly_name()
    )
    calibration = nncf.Dataset([image[None] for image in images])
    quantized = nncf.quantize(network, calibration, subset_size=len(images))

    def save(temporary: Path) -> None:
        openvino.save_model(quantized, str(temporary))
        # The weights stand in a second file, which the first finds by its own name.
        temporary.with_suffix(".bin").replace(out.with_suffix(".bin"))

    write_atomically(out, save)
