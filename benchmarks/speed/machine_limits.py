"""What the machine could do at most: large matrix products in float32, and of u8 by s8, on all processors.

A network can come near these rates where it is nothing but large products; DenseNet121's many small and
memory-bound layers keep below. A float32 convolution by Winograd's scheme needs fewer multiplications than
are counted, so its share can pass 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from xray_infer.benchmarks.results_schema import LimitRun
from xray_infer.classes import CLASS_NAMES
from xray_infer.host import default_workers
from xray_infer.images.preprocess import STUDY

SECONDS: Final = 1.0  # of one turn
PRODUCT: Final = (384, 1024, 512)  # rows, inner, columns: the fastest of a few sizes in both precisions
PRODUCT_GMAC: Final = PRODUCT[0] * PRODUCT[1] * PRODUCT[2] / 1e9
# Of the products' graphs. The exporter has its own; to ask it would load TensorFlow.
OPSET, IR_VERSION = 17, 8


def densenet121_gmac(side: int = STUDY.side, classes: int = len(CLASS_NAMES)) -> float:
    """Count DenseNet121's 10**9 multiply-accumulates of three planes (Huang et al. 2017, table 1).

    Those of the Keras model: an exported graph averages before it convolves between blocks, and needs fewer.
    """
    growth, bottleneck, channels = 32, 128, 64
    total = (side // 2) ** 2 * 7**2 * 3 * channels
    for part, layers in ((4, 6), (8, 12), (16, 24), (32, 16)):
        cells = (side // part) ** 2
        for _ in range(layers):
            total += cells * (channels * bottleneck + 3**2 * bottleneck * growth)
            channels += growth
        if part < 32:  # the transition halves the channels, then the side
            total += cells * channels * (channels // 2)
            channels //= 2
    return (total + channels * classes) / 1e9


def measure_limit(number: int) -> LimitRun:
    """Measure both products, one after the other; `number` is the round."""
    workers = default_workers()
    rates = {kind: PRODUCT_GMAC * rate_of(products(kind, workers)) for kind in ("float32", "int8")}
    return LimitRun(number, **rates)


def rate_of(calls: Sequence[Callable[[], object]]) -> float:
    """Return calls per second, each in a thread of its own, over SECONDS, at least one in each."""
    started = time.perf_counter()

    def work(call: Callable[[], object]) -> int:
        done = 0
        while not done or time.perf_counter() - started < SECONDS:
            call()
            done += 1
        return done

    with ThreadPoolExecutor(len(calls)) as pool:
        done = sum(pool.map(work, calls))
    return done / (time.perf_counter() - started)


def products(kind: str, workers: int) -> list[Callable[[], object]]:
    """Return one matrix product for each worker, "float32" or "int8" (u8 by s8), each single-threaded."""
    rows, inner, columns = PRODUCT
    generator = np.random.default_rng(0)
    left = generator.integers(0, 256, (rows, inner)).astype(np.uint8)
    right = generator.integers(-127, 128, (inner, columns)).astype(np.int8)
    types = (TensorProto.UINT8, TensorProto.INT32, "MatMulInteger")
    if kind == "float32":
        left, right = left.astype(np.float32), right.astype(np.float32)
        types = (TensorProto.FLOAT, TensorProto.FLOAT, "MatMul")
    taken, given, op_type = types
    graph = helper.make_graph(
        [helper.make_node(op_type, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", taken, [rows, inner])],
        [helper.make_tensor_value_info("product", given, [rows, columns])],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for _ in range(workers)
    ]
    return [partial(session.run, None, {"left": left}) for session in sessions]
