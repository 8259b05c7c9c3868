"""The Keras model's answers where the model itself is not there: what `xray-export` kept beside its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xray_infer.benchmarks.accuracy.answering import WHOLE, Images
from xray_infer.benchmarks.records.schema import Answers, ModelFile, RowKey
from xray_infer.benchmarks.rows import KERAS, Row, reference_of
from xray_infer.export.reference import SUFFIX, input_digest, load_reference
from xray_infer.study.datasets import file_digest
from xray_infer.terminal import Report


def kept_answers(rows: Sequence[Row], images: Images, report: Report) -> Iterator[tuple[ModelFile, Answers]]:
    """Yield a method's kept answers as a Keras row, for each method without a .keras file among the rows.

    They count only where they are of all these images. The row has answers and no file: its size is 0.
    """
    keys = [row.key for row in rows]
    asked: set[str] = set()
    for row in rows:
        path = row.path.with_name(f"{row.key.method}{SUFFIX}")
        if row.key.method in asked or reference_of(row.key, keys) is not None or not path.exists():
            continue
        asked.add(row.key.method)
        stored = load_reference(path)
        place = {digest: index for index, digest in enumerate(stored.input_digests)}
        wanted = [place.get(input_digest(image)) for image in images.inputs]
        if None in wanted:
            report(f"{path}: holds no answers to some of these images, so nothing is held against them")
            continue
        key = RowKey(row.key.method, KERAS, "fp32", KERAS)
        answers = stored.probabilities[[index for index in wanted if index is not None]].astype(float)
        model = ModelFile(key, path.name, file_digest(path), 0, row.model.temperature, row.model.data_digest)
        yield model, Answers(key, images.set.name, WHOLE, answers.tolist())
