"""Plain programs around Keras and the runtimes: NAME MODEL FOLDER OUT.csv, NAME one of `SCRIPTS`."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from xray_infer.benchmarks.peers.answer_file import AnswerFile, Script, read_gray, run

ALIVE: Final[list[Any]] = []


def onnxruntime_loop(model_path: Path, files: list[Path], answers: AnswerFile) -> None:
    """ONNX Runtime with its defaults and OpenCV in a loop, one image at a time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    for path in files:
        image = read_gray(path, given.shape[1])
        answers.add(path, session.run(["probabilities"], {given.name: image[None]})[0])


def litert_loop(model_path: Path, files: list[Path], answers: AnswerFile) -> None:
    """LiteRT on all processors and OpenCV in a loop, one image at a time."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model_path), num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    ((name, given),) = runner.get_input_details().items()
    for path in files:
        image = read_gray(path, given["shape"][1])
        answers.add(path, runner(**{name: image[None]})["probabilities"])


def openvino_best(model_path: Path, files: list[Path], answers: AnswerFile) -> None:
    """OpenVINO at its best: throughput hint, as many requests at once as it asks for, decoding in threads.

    Answers come in the order that they are ready.
    """
    from xray_infer.model.runtimes.ov import import_openvino

    openvino = import_openvino()
    core = openvino.Core()
    compiled = core.compile_model(str(model_path), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    output = compiled.output("probabilities")
    read = partial(read_gray, side=compiled.input(0).partial_shape[1].get_length())
    queue = openvino.AsyncInferQueue(compiled)
    # A thread of OpenVINO that lets go of the last reference would wait for itself, and abort the process.
    ALIVE.extend((core, compiled, queue))

    def keep(request: Any, path: Path) -> None:
        answers.add(path, request.get_tensor(output).data.copy())

    queue.set_callback(keep)
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        # A few decoded images ahead, not the whole folder.
        waiting = [(path, pool.submit(read, path)) for path in files[: 4 * workers]]
        rest = iter(files[4 * workers :])
        while waiting:
            path, decoded = waiting.pop(0)
            queue.start_async([decoded.result()[None]], path)
            following = next(rest, None)
            if following is not None:
                waiting.append((following, pool.submit(read, following)))
    queue.wait_all()


def keras_predict(model_path: Path, files: list[Path], answers: AnswerFile, *, batch: int) -> None:
    """Keras as in a notebook: its own loader, bilinear without antialiasing, and `model.predict`."""
    import keras
    import numpy as np

    model: Any = keras.saving.load_model(model_path, compile=False)
    size = model.input_shape[1:3]
    for start in range(0, len(files), batch):
        some = files[start : start + batch]
        pictures = [
            keras.utils.load_img(path, color_mode="grayscale", target_size=size, interpolation="bilinear")
            for path in some
        ]
        arrays = np.stack([keras.utils.img_to_array(one, dtype="uint8") for one in pictures])
        for path, probabilities in zip(some, model.predict(arrays, verbose=0), strict=True):
            answers.add(path, probabilities)


SCRIPTS: Final[dict[str, Script]] = {
    "keras_one_at_a_time": partial(keras_predict, batch=1),
    "keras_batches": partial(keras_predict, batch=32),  # Keras's default
    "onnxruntime_loop": onnxruntime_loop,
    "litert_loop": litert_loop,
    "openvino_best": openvino_best,
}

if __name__ == "__main__":
    run(SCRIPTS)
