"""Writes golden.json, the shipped models' answers on the samples. Run it when a shipped model changes."""

import json
from pathlib import Path

from xray_infer.engine import classify
from xray_infer.runtimes import RUNTIMES
from xray_infer.shipped import shipped_model
from xray_infer.sources import list_images

HERE = Path(__file__).parent

golden = {
    runtime: {
        row.path: [round(value, 4) for value in row.probabilities]
        for row in classify(list_images(HERE.parent / "samples").items, shipped_model(runtime), workers=1)
    }
    for runtime in RUNTIMES
}
(HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
