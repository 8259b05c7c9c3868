#!/usr/bin/env bash
# ONNX Runtime's ReduceMean gives equal images of one batch different sums, by their place; GlobalAveragePool does not.
#
# onnxruntime 1.32.0 of PyPI, onnx 1.23.2, numpy 2.3.5, CPython 3.11, Linux x86-64 (AVX2).
#
# Eight copies of one image of three channels, 7 x 7, are averaged over height and width. ReduceMean over the axes 2 and
# 3 returns several different results, which differ in the last bits: the channels of all images are summed in groups, and
# the group that a channel falls into decides the order of its sum. With one image a run, or with GlobalAveragePool, all
# are equal. So the probabilities of an image depend on the batch that it happens to be in, and a test that compares
# batches bit by bit fails for a network that ends in ReduceMean.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.3.5
export ORT_DISABLE_TELEMETRY=1
env/bin/python - <<'PY' | tee seen
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

COPIES = 8
image = np.random.default_rng(0).normal(size=(1, 3, 7, 7)).astype(np.float32)


def averaged(nodes, constants=()):
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 7, 7])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "mean", [given], [made], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (rows,) = session.run(None, {"x": np.repeat(image, COPIES, axis=0)})
    np.testing.assert_allclose(rows, np.repeat(image.mean(axis=(2, 3)), COPIES, axis=0), rtol=1e-4, atol=1e-7)
    return len({row.tobytes() for row in rows})


axes = numpy_helper.from_array(np.array([2, 3]), "axes")
reduced = averaged([helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)], [axes])
pooled = averaged([helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])])
print(f"{COPIES} copies: ReduceMean gives {'one result' if reduced == 1 else 'several results'},",
      f"GlobalAveragePool {'one result' if pooled == 1 else 'several results'}")
PY
cat > expected <<'TEXT'
8 copies: ReduceMean gives several results, GlobalAveragePool one result
TEXT
diff expected seen && echo "as described"
