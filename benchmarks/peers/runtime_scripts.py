"""ONNX Runtime with its defaults and OpenCV in a loop, one image at a time."""

from __future__ import annotations

from pathlib import Path

from xray_infer.benchmarks.peers.answer_file import AnswerFile, read_gray, run


def classify(model_path: Path, files: list[Path], answers: AnswerFile) -> None:
    """Classify one file after the other."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for path in files:
        answers.add(path, session.run(["probabilities"], {name: read_gray(path)[None]})[0])


if __name__ == "__main__":
    run(classify)
