"""Converts one of our files to what a peer runs: NAME MODEL OUT FOLDER SIDE CHECKS.json.

In a process of its own: the peer needs neither Keras nor what makes the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from xray_infer.atomic import write_atomically
from xray_infer.benchmarks.peers.answer_file import image_files, read_gray
from xray_infer.benchmarks.peers.registry import PEERS
from xray_infer.benchmarks.speed.machine_limits import densenet121_gmac
from xray_infer.model.manifest import OUTPUT_NAMES
from xray_infer.model.runtimes.ov import import_openvino

CHECKED = 16  # images whose answers are compared, input by input


def main(name: str, model: str, out: str, folder: str, side: str, checks: str) -> None:
    """Make the file, and write what was checked of it."""
    kind = next(one for one in PEERS if one.name == name)
    images = np.stack([read_gray(path, int(side)) for path in image_files(Path(folder))])
    if kind.conversion == "torch":
        # TensorFlow and PyTorch crash in one process; Keras reads the file on PyTorch too.
        os.environ["KERAS_BACKEND"] = "torch"
        from xray_infer.benchmarks.peers.torch_scripts import convert

        found = convert(Path(model), kind.script_name, Path(out), images[:CHECKED])
        facts = {
            "parameters": f"{found.parameters:,} learned; the Keras model has {found.keras_parameters:,}",
            "multiply-accumulates": f"{found.gmac:.2f} of {densenet121_gmac(int(side)):.2f} 10^9",
            "the same inputs": f"largest dp to Keras {found.max_dp:.1e}, {len(images[:CHECKED])} images",
        }
    else:
        quantize(Path(model), Path(out), images)
        facts = {"weights": f"our fp32 file's, quantised by the {len(images)} images of the folder itself"}
    Path(checks).write_text(json.dumps(facts), encoding="utf-8")


def quantize(model: Path, out: Path, images: np.ndarray) -> None:
    """Write an OpenVINO IR in int8 by NNCF's defaults, with the ranges of images, uint8 [N, side, side, 1].

    Of the file's outputs only the probabilities are kept. With the map beside them, OpenVINO 2026.4.1 on a
    CPU computes zeros for the mean of the last convolution, where it is int8 as NNCF makes it (our own int8
    keeps it in float): every image then gets the same answer.
    """
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


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(*sys.argv[1:])
