"""One image's way through the program's own files stays as short as it is."""

import sys
from pathlib import Path

import pytest
from places import SAMPLES

from benchmarks.studies.walks import WALKS, measure

IMAGE = SAMPLES / "phantom_focal_1.png"
MOST_IN_THE_WORKER = {"an image's bytes to its CSV row": 9, "an image to its heat map": 16}
# A model of whole pictures does without the first, one that has no alarm without the second.
OF_SOME_MODELS = {"images/lungs.py", "model/alarm_reference.py"}


@pytest.mark.parametrize("what", list(WALKS))
def test_an_image_passes_through_few_files(what):
    walk = measure(Path(sys.executable), IMAGE, *WALKS[what])
    assert len(set(walk.worker) - OF_SOME_MODELS) <= MOST_IN_THE_WORKER[what], walk.worker
    assert set(walk.worker) < set(walk.process)
    assert {"images/decode.py", "run/engine.py"} <= set(walk.worker)
    assert {"cli.py", "run/writers/csv_file.py"} <= set(walk.process)
