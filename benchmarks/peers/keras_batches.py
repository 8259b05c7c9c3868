"""The same Keras script in batches of 32, Keras's default."""

from __future__ import annotations

from functools import partial

from xray_infer.benchmarks.peers.answers import run
from xray_infer.benchmarks.peers.keras_predict import classify

if __name__ == "__main__":
    run(partial(classify, batch=32))
