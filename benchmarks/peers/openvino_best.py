"""OpenVINO at its best: throughput hint, as many requests at once as it asks for, decoding beside it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from xray_infer.benchmarks.peers.answer_file import AnswerFile, read_gray, run
from xray_infer.model.runtimes.ov import import_openvino

ALIVE: list[Any] = []


def classify(model_path: Path, files: list[Path], answers: AnswerFile) -> None:
    """Decode in threads, infer in OpenVINO's own queue; answers come in the order that they are ready."""
    openvino = import_openvino()
    core = openvino.Core()
    compiled = core.compile_model(str(model_path), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    output = compiled.output("probabilities")
    queue = openvino.AsyncInferQueue(compiled)
    # A thread of OpenVINO that lets go of the last reference would wait for itself, and abort the process.
    ALIVE.extend((core, compiled, queue))

    def keep(request: Any, path: Path) -> None:
        answers.add(path, request.get_tensor(output).data.copy())

    queue.set_callback(keep)
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        # A few decoded images ahead, not the whole folder.
        waiting = [(path, pool.submit(read_gray, path)) for path in files[: 4 * workers]]
        rest = iter(files[4 * workers :])
        while waiting:
            path, decoded = waiting.pop(0)
            queue.start_async([decoded.result()[None]], path)
            following = next(rest, None)
            if following is not None:
                waiting.append((following, pool.submit(read_gray, following)))
    queue.wait_all()


if __name__ == "__main__":
    run(classify)
