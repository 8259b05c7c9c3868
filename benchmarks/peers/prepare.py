"""Makes what a peer runs from one of our files: NAME MODEL OUT FOLDER CHECKS.json.

In a process of its own: the peer needs neither Keras nor what makes the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from xray_infer.benchmarks.peers.answers import image_files, read_gray
from xray_infer.benchmarks.peers.registry import PEERS
from xray_infer.benchmarks.speed.limits import densenet121_gmac

CHECKED = 16  # images whose answers are compared, input by input


def main(name: str, model: str, out: str, folder: str, checks: str) -> None:
    """Make the file, and write what was checked of it."""
    kind = next(one for one in PEERS if one.name == name)
    images = np.stack([read_gray(path) for path in image_files(Path(folder))])
    if kind.made == "torch":
        # TensorFlow and PyTorch crash in one process; Keras reads the file on PyTorch too.
        os.environ["KERAS_BACKEND"] = "torch"
        from xray_infer.benchmarks.peers.conversion import convert

        found = convert(Path(model), kind.module, Path(out), images[:CHECKED])
        facts = {
            "parameters": f"{found.parameters:,} learned; the Keras model has {found.keras_parameters:,}",
            "multiply-accumulates": f"{found.gmac:.2f} of {densenet121_gmac():.2f} 10^9",
            "the same inputs": f"largest dp to Keras {found.max_dp:.1e}, {len(images[:CHECKED])} images",
        }
    else:
        from xray_infer.benchmarks.peers.nncf_int8 import quantize

        quantize(Path(model), Path(out), images)
        facts = {"weights": f"our fp32 file's, quantised by the {len(images)} images of the folder itself"}
    Path(checks).write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(*sys.argv[1:])
