"""Writes golden.json, the shipped models' answers on the samples. Run it when a shipped model changes."""

import json
import math

from places import REPOSITORY, SAMPLES

from xray_infer.model.choice import shipped_model
from xray_infer.model.runtime_table import SUFFIXES
from xray_infer.run.engine import classify
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.folder import local_source

HERE = REPOSITORY / "tests" / "model"

samples = list(local_source(SAMPLES))
options = EngineOptions(workers=1, ood_threshold=math.inf)
golden = {
    model_format: {
        row.path: [round(value, 4) for value in row.probabilities]
        for row in classify(samples, shipped_model(model_format), options)
    }
    for model_format in SUFFIXES.values()
}
(HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
