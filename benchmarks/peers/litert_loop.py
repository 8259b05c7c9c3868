"""LiteRT on all processors and OpenCV in a loop, one image at a time."""

from __future__ import annotations

import os
from pathlib import Path

from xray_infer.benchmarks.peers.answer_file import AnswerFile, read_gray, run


def classify(model_path: Path, files: list[Path], answers: AnswerFile) -> None:
    """Classify one file after the other."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model_path), num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    name = next(iter(runner.get_input_details()))
    for path in files:
        answers.add(path, runner(**{name: read_gray(path)[None]})["probabilities"])


if __name__ == "__main__":
    run(classify)
