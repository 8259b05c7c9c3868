#!/usr/bin/env bash
# OpenCV's area resizing of five or more channels works by whole factors only.
#
# opencv-python-headless 5.0.0.93, numpy 2.3.5, CPython 3.11, Linux x86-64.
#
# cv2.resize with INTER_AREA halves an array of 5 or 8 channels, and doubles it. From 12 to 5 pixels, where windows share
# pixels, it raises an assertion for more than 4 channels; with 4 it works. INTER_LINEAR, INTER_CUBIC and INTER_NEAREST take
# 5 and 8 channels for every size. A stack of maps, one channel a class, meets it when a class is added.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.3.5
env/bin/python - <<'PY' | tee seen
import cv2
import numpy as np


def tried(channels, side, how):
    try:
        cv2.resize(np.ones((12, 12, channels), np.float32), (side, side), interpolation=how)
    except cv2.error:
        return "raises"
    return "works"


for channels in (4, 5, 8):
    area = [f"12 to {side} {tried(channels, side, cv2.INTER_AREA)}" for side in (6, 24, 5)]
    others = {tried(channels, 5, how) for how in (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)}
    print(f"{channels} channels, INTER_AREA: {', '.join(area)}; others, 12 to 5: {', '.join(others)}")
PY
cat > expected <<'TEXT'
4 channels, INTER_AREA: 12 to 6 works, 12 to 24 works, 12 to 5 works; others, 12 to 5: works
5 channels, INTER_AREA: 12 to 6 works, 12 to 24 works, 12 to 5 raises; others, 12 to 5: works
8 channels, INTER_AREA: 12 to 6 works, 12 to 24 works, 12 to 5 raises; others, 12 to 5: works
TEXT
diff expected seen && echo "as described"
