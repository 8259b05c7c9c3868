"""What each column of a row, field of a manifest and key of a run record means: for the reference.

`docs/generate.py` refuses to write a table in which a name is missing or left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COLUMNS: Final[Mapping[str, str]] = {
    "path": r"Path relative to the source. Bytes that are not UTF-8 are written as `\xNN`.",
    "status": (
        "`ok` (classified), `rejected` (readable, but not a picture that the model may judge) or `error` "
        "(not readable)."
    ),
    "label": "The most probable class, or `uncertain` below the limit of confidence. Empty unless `ok`.",
    "prob_CLASS": (
        "Probability of a class, 0 to 1: a column for each class of the model, in the order of its manifest, "
        "`prob_covid`, `prob_pneumonia` and `prob_normal` for those that ship. They add up to 1. Empty "
        "unless `ok`."
    ),
    "confidence": "The largest of the probabilities.",
    "raw_label": "The most probable class, however improbable.",
    "ood_score": (
        "Out-of-distribution score: distance from the training images, 1 for an average one. Above the "
        "model's threshold the image is rejected."
    ),
    "reason": "Why there is no label, or why it is `uncertain`. At most 300 characters.",
    "lungs": (
        "What the model was given: left, top, right and bottom of the lungs' box with its margin, in shares "
        "of the picture's width and height, from its top left corner. `none`: no lungs were found, so the "
        "image is rejected, or with `--ood-threshold inf` judged as a whole. Empty for a model of whole "
        "pictures, and where nothing was judged."
    ),
    "model": "Name of the model.",
    "model_sha256": "SHA-256 of the model file.",
    "preprocessing_version": (
        "Version of the steps from decoded pixels to the model's input: 1 takes the whole picture, 2 the "
        "lungs."
    ),
    "runtime": "Package that ran the model, with its version.",
    "row_schema": "Version of these columns.",
}

MANIFEST: Final[Mapping[str, str]] = {
    "name": "Name of the model, as in the column `model`.",
    "version": "Version of the program that exported the file.",
    "method": "How the network was trained: `feature_extraction` or `fine_tuning`.",
    "format": "`onnx` or `tflite`.",
    "recipe": "Quantisation recipe: `fp32`, `fp16`, `int8-dynamic`, `int8-static` or `int8x16`.",
    "temperature": (
        "The graph divides its logits by this number before the softmax. Fitted on validation images."
    ),
    "training": (
        "Record of the training: data, schedule, seed, metrics on the validation and test splits. For "
        "people and reports; it changes no answer."
    ),
    "parity": "Certificate: how closely the file follows its Keras model on test images, in each runtime.",
    "tool_versions": "Packages that made the file, with their versions.",
    "intended_use": "One sentence that every output repeats.",
    "quantization": "What calibrated an int8 file, and what was tried.",
    "confidence": "Temperature and limit of confidence, from domains that were left out.",
    "adaptation": (
        "To which films the head was fitted anew, what that is worth by cross-validation, and what was told "
        "against it. Only in files of `xray-train adapt`."
    ),
    "rejection": "How the rejection score was fitted, and what it rejects.",
    "alarm": (
        "What a folder's films are compared with: axes, the mean film of each training hospital and class, "
        "and the limit, as base64 of little-endian numbers; see `infer/model/alarm_reference.py`."
    ),
    "thresholds": (
        "Named limits. `ood_score`: an image with a higher score is rejected. `confidence`: a label with a "
        "lower probability is `uncertain`."
    ),
    "class_names": (
        "Classes in the order of the output: 2 to 50 names of up to 64 bytes, distinct without regard to "
        "capitals. In version 1 covid, pneumonia, normal."
    ),
    "input_name": "Name of the graph's input.",
    "input_shape": (
        "Height, width and channels of the input, uint8: a square with a side from 32 to 1024, a multiple of "
        "32, and one channel. A file of another shape is refused."
    ),
    "output_names": (
        "`probabilities` [N, C], `cam` [N, side / 32, side / 32, C] (class activation maps), from version 2 "
        "on `features` [N, K] (what the head reads: the mean of the last feature map) and, in files that "
        "have it, `ood_score` [N]."
    ),
    "preprocessing_version": "As in the row. A file of another version is refused.",
    "schema_version": "Version of this manifest, 1 or 2. A file of another version is refused.",
}

RECORD: Final[Mapping[str, str]] = {
    "record_schema": "Version of this record.",
    "row_schema": "Version of the rows' columns.",
    "notice": "Research use only.",
    "xray_infer": "Version of the program.",
    "finished": "Whether every input has its row.",
    "results": "Name of the file, or location of the shards.",
    "what_rows_depend_on": (
        "The fingerprint: source, model, runtime, versions, limits, rules and outputs. A run continues "
        "only if all of it is the same."
    ),
    "workers": "Number of workers.",
    "model": "Name, version, method, recipe, format, classes, SHA-256 and intended use of the model.",
    "counts.images": "Number of rows.",
    "counts.by_status": "Rows by status.",
    "counts.by_label": "Rows by label.",
    "counts.by_reason": "Rejected and unreadable rows by reason; numbers inside a reason are left out.",
    "counts.reused_from_an_earlier_run": "Rows that were taken from the journal.",
    "counts.skipped_other_files": "Files that are no images.",
    "alarm": (
        "What the alarm for strange folders says of all judged films so far: `status`, `sentence`, "
        "`judged_films`, `strangeness` and `limit` of all together, and in `strange` the folders and "
        "stations that are unlike the training hospitals, where not all are."
    ),
    "beside_the_rows": "What the outputs report, such as DICOM files for which no object could be written.",
    "time.started": "Start of the run, UTC.",
    "time.ended": "End of the run, UTC.",
    "time.seconds": "Seconds between them.",
    "time.images_per_s": "New rows a second.",
    "time.seconds_by_stage_over_all_workers": (
        "Seconds spent reading, decoding, inferring, drawing and writing; all workers together."
    ),
    "peak_memory_mb": (
        "Peak resident memory of the process in MiB; null where the system does not report it."
    ),
    "machine": (
        "Processor, number of processors, how many of them are allowed, the container's quota, the system."
    ),
    "versions": "Python and the packages that matter, with their versions.",
}
# Keys of the record whose own keys differ from run to run, or are listed in one sentence.
RECORD_LEAVES: Final = frozenset(
    (
        "what_rows_depend_on",
        "model",
        "alarm",
        "beside_the_rows",
        "machine",
        "versions",
        "counts.by_status",
        "counts.by_label",
        "counts.by_reason",
        "time.seconds_by_stage_over_all_workers",
    )
)
