#!/usr/bin/env bash
# ONNX Runtime on Linux keeps a device id and a database of events, unless an environment variable says otherwise.
#
# onnxruntime 1.32.0 of PyPI, numpy 2.3.5, CPython 3.11, Linux x86-64.
#
# Importing the package and running one model for one input writes ~/.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid,
# an SQLite database beside it, and a hidden file in the temporary folder. No API was asked for anything, and no
# network is needed for that. `disable_telemetry_events()` called right after the import comes too late for the files.
# ORT_DISABLE_TELEMETRY=1 before the import leaves none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset ORT_DISABLE_TELEMETRY XDG_CACHE_HOME CI GITHUB_ACTIONS

python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.3.5
cat > run.py <<'PY'
import sys

import numpy as np
import onnx.helper as make
import onnxruntime

if "late" in sys.argv:
    onnxruntime.disable_telemetry_events()
values = make.make_tensor_value_info("x", 1, [2])
result = make.make_tensor_value_info("y", 1, [2])
graph = make.make_graph([make.make_node("Relu", ["x"], ["y"])], "relu", [values], [result])
model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.array([-1, 1], np.float32)})[0].tolist() == [0, 1]
PY

tried() { # NAME [VARIABLE=VALUE] [ARGUMENT]: print which files a run leaves
    mkdir -p "$1/home" "$1/temporary"
    env HOME="$work/$1/home" TMPDIR="$work/$1/temporary" ${2:+"$2"} "$work/env/bin/python" run.py ${3:-}
    echo "$1: $(cd "$1" && find . -type f ! -name '*-wal' ! -name '*-shm' | sort | tr '\n' ' ')"
}
{
    tried plain
    tried late "" late
    tried switched-off ORT_DISABLE_TELEMETRY=1
} | tee seen
cat > expected <<'TEXT'
plain: ./home/.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid ./home/.cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db ./temporary/.ses 
late: ./home/.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid ./home/.cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db ./temporary/.ses 
switched-off: 
TEXT
diff expected seen && echo "as described"
