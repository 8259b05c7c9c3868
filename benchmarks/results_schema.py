"""The form of results.json: what was measured, every sample of it, and nothing that follows from it.

Statistics are worked out from these records when a table, a page or a comparison is made, so that all of
them say the same and a later version can say more of an old file. Times are seconds or milliseconds as the
names say, memory in MB of 2**20 bytes, energy in joules; None stands for what could not be measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from xray_infer.classes import CLASS_NAMES
from xray_infer.images.preprocess import STUDY, Preprocessing
from xray_infer.study.domains import LeaveOneDomainOut

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, order=True)
class RowKey:
    """A row of the table: a trained method in a format, by a recipe, in a runtime."""

    method: str
    format: str
    recipe: str
    runtime: str

    @property
    def name(self) -> str:
        """Return the key as one word, such as fine_tuning/onnx/int8-static/onnxruntime."""
        return "/".join((self.method, self.format, self.recipe, self.runtime))


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The file of a row: its name, digest, size, softmax temperature, what it was trained on and is given.

    `class_names` are those of its outputs. They and `preprocessing` are the study's in results of versions
    that had no other.
    """

    row: RowKey
    file: str
    sha256: str
    size_bytes: int
    temperature: float
    data_digest: str
    preprocessing: Preprocessing = STUDY
    class_names: tuple[str, ...] = CLASS_NAMES


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Labelled images that rows answer to; all lists are of the same length.

    `name` is "test", "external" or another; `labels` are indices into `Results.classes`; `groups` are the
    patients or look-alike series ("" where unknown), `sources` the collections. `domains` are "" where
    unknown, and missing from files of earlier versions.
    """

    name: str
    digest: str
    images: list[str]
    labels: list[int]
    groups: list[str]
    sources: list[str]
    domains: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RowAnswers:
    """What a row answers to an image set of which `region` is kept: "all", "border" or "centre".

    `probabilities` `[N][C]`, at the file's temperature, in the set's order.
    """

    row: RowKey
    images: str
    region: str
    probabilities: list[list[float]]


@dataclass(frozen=True, slots=True)
class SourceProbe:
    """What the pooled features of a method's backbone tell of an image's source.

    `classifier` is the probe in a sentence. `truth` and `predicted` are the sources of the test images, by a
    probe that was fitted on the training split. `within_class` repeats it inside one class, where the disease
    can't give the source away: class name to (accuracy, share of the commonest source, images).
    """

    method: str
    features: str
    classifier: str
    sources: list[str]
    truth: list[str]
    predicted: list[str]
    within_class: dict[str, tuple[float, float, int]]


@dataclass(frozen=True, slots=True)
class Burst:
    """A stretch of the Offline scenario: so many images in so many seconds, in batches of `batch`."""

    batch: int
    images: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ProcessRun:
    """One fresh process that loads a row's file and runs MLPerf's SingleStream and Offline scenarios.

    `round` counts from 0, `turn` is the place in the whole run, so that the baselines before and after can
    be found. `load_s` opens the file, `first_result_s` is from the start of the process to the first answer.
    `single_stream_ms` and `offline` come after the warm-up. `peak_mb` is read between the two, with one
    session open; `energy_j` is that of Offline and of its `energy_images`; `product_gmac_s` is a matrix
    product's speed at the end; `context_switches` are involuntary ones.
    """

    row: RowKey
    round: int
    turn: int
    baseline: bool
    load_s: float
    first_result_s: float
    single_stream_ms: list[float]
    offline: list[Burst]
    peak_mb: float | None
    energy_j: float | None
    energy_images: int
    product_gmac_s: float
    context_switches: int | None = None


@dataclass(frozen=True, slots=True)
class StageRun:
    """Milliseconds of each image in each stage of the way from a file to its row, in one fresh process.

    `stages` maps decode, preprocess, infer, heat map and write to a list in the order of the files.
    """

    row: RowKey
    round: int
    turn: int
    stages: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class CommandRun:
    """The user's command over a folder, as a process of its own. `seconds` is from its start to its end."""

    row: RowKey
    round: int
    turn: int
    images: int
    seconds: float
    peak_mb: float | None


@dataclass(frozen=True, slots=True)
class LimitRun:
    """What all processors reached in large matrix products, 10**9 multiply-accumulates a second."""

    round: int
    float32: float
    int8: float


@dataclass(frozen=True, slots=True)
class PeerRun:
    """One run of a peer's script, or of xray-infer, over the folder, as a process of its own.

    `start_s` is from the start of the process to its first answer; `steady_images_per_s` counts from there.
    """

    peer: str
    round: int
    turn: int
    images: int
    seconds: float
    start_s: float
    steady_images_per_s: float
    peak_mb: float | None


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer is and how its work compares: the same network, weights and inputs, as checked.

    `skipped` gives the reason where it could not run. `checks` maps what was checked to what was found.
    """

    name: str
    what: str
    version: str
    skipped: str
    checks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """What it ran on. `quota` is the cgroup's share of processors, None without one; `affinity` the
    processors that this process may use; `load_before` the load average of the last minute at the start."""

    processor: str
    flags: list[str]
    processors: int
    affinity: list[int]
    quota: float | None
    memory_mb: float
    system: str
    governor: str | None
    energy: str
    load_before: float | None
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Trained:
    """Test accuracies of trainings by the same recipe with other seeds and splits (`xray-train evidence`).

    `accuracies` maps "group", "random", "border", "centre" to each method's accuracies, a figure a seed.
    `left_out` are the trainings without one domain each, None where there are none.
    """

    accuracies: dict[str, dict[str, list[float]]]
    left_out: LeaveOneDomainOut | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """A way to guess the class without lungs, and how many of the test images it has right."""

    name: str
    images: int
    hits: int


@dataclass(frozen=True, slots=True)
class Results:
    """All of it; what was not asked for is empty. `options` are those that decide the measurement."""

    schema: int
    command: list[str]
    started: str
    seconds: float
    version: str
    options: dict[str, Any]
    machine: Machine
    gmac: float
    models: list[ModelFile]
    sets: list[ImageSet] = field(default_factory=list)
    answers: list[RowAnswers] = field(default_factory=list)
    probes: list[SourceProbe] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    trained: Trained | None = None
    processes: list[ProcessRun] = field(default_factory=list)
    stages: list[StageRun] = field(default_factory=list)
    commands: list[CommandRun] = field(default_factory=list)
    limits: list[LimitRun] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    peer_runs: list[PeerRun] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of all models, in the order of the outputs; the study's where there is no model."""
        return self.models[0].class_names if self.models else CLASS_NAMES
