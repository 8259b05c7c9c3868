"""Which runtime classifies the most images/s here: measured once a machine, then remembered.

The time to load a model does not count: OpenVINO takes a second or two, the others half of one.

The memory is `runtime.json` in the user's cache folder: a list of entries, the newest last, each with the
circumstances it was measured under (`facts`) and images/s by runtime. Under other circumstances, or when
the file is damaged or cannot be written, the measurement is made again; it is never an error.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from xray_infer.atomic import make_folder, write_json
from xray_infer.errors import OutputError, XrayError
from xray_infer.host import processor_name
from xray_infer.model.runtime_table import RUNTIMES
from xray_infer.model.runtimes import Model, Session
from xray_infer.terminal import Report

# With the figures below it takes about 3 seconds on two cores, besides loading the models.
IMAGES: Final = 4  # each worker's share of a round
LEAST_ROUNDS, MOST_ROUNDS = 3, 9
BUDGET_S: Final = 3.0
MOST_ENTRIES: Final = 16  # a home folder may be shared by machines

Rates = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RuntimeCandidate:
    """A model file in one of the runtimes that read it."""

    model: Model
    runtime: str


def installed_candidates(models: Iterable[Model]) -> list[RuntimeCandidate]:
    """Return every model in every installed runtime, each model's default first."""
    return [
        RuntimeCandidate(model, runtime.name)
        for model in models
        for runtime in model.runtimes()
        if runtime.installed()
    ]


def choose_fastest(models: Sequence[Model], *, workers: int, report: Report) -> RuntimeCandidate:
    """Return the model and runtime that classify the most images/s with `workers` sessions of one thread.

    `models` holds one file a format. `report` gets one line for a person: the choice, and the others beside
    it. Raises what `Model.open` raises when no candidate can be opened.
    """
    candidates = installed_candidates(models)
    if not candidates:
        return RuntimeCandidate(models[0], models[0].runtimes()[0].name)  # opening it says what to install
    if len(candidates) == 1:
        report(f"runtime: {candidates[0].runtime}, the only one installed that reads this model")
        return candidates[0]
    facts = _facts(candidates, workers)
    path = cache_file()
    entries = _read(path)
    rates = next((_rates(entry, candidates) for entry in entries if entry.get("facts") == facts), None)
    if rates:
        origin = f"measured earlier, kept in {path}"
    else:
        rates, failures = measure(candidates, workers=workers)
        # What cannot be opened may be mended without a change in the facts.
        if failures:
            origin = "measured now; " + "; ".join(failures)
        else:
            origin = _write(path, [*entries, {"facts": facts, "images_per_s": rates}])
    best = max(rates, key=lambda name: rates[name])
    report(f"runtime: {best}; images/s {_beside(rates)} ({origin})")
    return next(one for one in candidates if one.runtime == best)


def _beside(rates: Rates) -> str:
    """Every runtime's speed as a multiple of the first one's."""
    base, *others = rates
    if not others:
        return f"{rates[base]:.1f}"
    return f"as multiples of {base}'s: " + ", ".join(
        f"{name} {rates[name] / rates[base]:.2f}" for name in others
    )


def measure(candidates: Sequence[RuntimeCandidate], *, workers: int) -> tuple[dict[str, float], list[str]]:
    """Return the median of each candidate's images/s over interleaved rounds, and a line a failure.

    Works as the engine does: one session of one thread a worker. Raises the first failure when all fail.
    """
    opened: dict[str, Sequence[Session]] = {}
    failures: list[XrayError] = []
    for one in candidates:
        try:
            opened[one.runtime] = one.model.open_many(workers, runtime=one.runtime)
        except XrayError as error:
            failures.append(error)
    if not opened:
        raise failures[0]
    seconds: dict[str, list[float]] = {name: [] for name in opened}

    def run(session: Session) -> None:
        shape = (IMAGES, 1, *session.manifest.input_shape)
        for image in np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8):
            session.run(image)

    with ThreadPoolExecutor(workers) as pool:

        def one_round(sessions: Sequence[Session]) -> float:
            started = time.perf_counter()
            list(pool.map(run, sessions))
            return time.perf_counter() - started

        for sessions in opened.values():
            one_round(sessions)  # warm-up
        began = time.perf_counter()
        for number in range(MOST_ROUNDS):
            if number >= LEAST_ROUNDS and time.perf_counter() - began > BUDGET_S:
                break
            for name, sessions in opened.items():
                seconds[name].append(one_round(sessions))
    rates = {name: workers * IMAGES / statistics.median(times) for name, times in seconds.items()}
    return rates, [str(error) for error in failures]


def _facts(candidates: Sequence[RuntimeCandidate], workers: int) -> dict[str, object]:
    """What the answer depends on, as JSON types."""
    return {
        "models": sorted({one.model.digest for one in candidates}),
        "runtimes": [RUNTIMES[one.runtime].installed() for one in candidates],
        "processor": processor_name(),
        "processors": os.cpu_count(),
        "workers": workers,
    }


def cache_file() -> Path | None:
    """Return where measurements are kept: in the user's cache folder; None where there is no home."""
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            folder = Path(local) if local else Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            folder = Path.home() / "Library" / "Caches"
        else:
            # The XDG Base Directory Specification: a relative path is to be ignored.
            folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
            folder = folder if folder.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "xray-infer" / "runtime.json"


def _read(path: Path | None) -> list[dict[str, object]]:
    """Return the entries that are kept; none where the file is absent or damaged."""
    if path is None:
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _rates(entry: Mapping[str, object], candidates: Sequence[RuntimeCandidate]) -> dict[str, float] | None:
    """Return an entry's images/s in the candidates' order, None unless each has a positive number."""
    kept = entry.get("images_per_s")
    names = [one.runtime for one in candidates]
    if not isinstance(kept, dict) or kept.keys() != set(names):
        return None
    if not all(isinstance(rate, float) and 0 < rate < math.inf for rate in kept.values()):
        return None
    return {name: kept[name] for name in names}


def _write(path: Path | None, entries: Sequence[dict[str, object]]) -> str:
    """Keep the newest entries, and say where, or why that is not possible."""
    if path is None:
        return "measured now; there is no home folder to keep it in"
    *older, newest = entries
    older = [entry for entry in older if entry.get("facts") != newest["facts"]]
    try:
        make_folder(path.parent)
        write_json(path, [*older[1 - MOST_ENTRIES :], newest])
    except (OutputError, OSError) as error:
        return f"measured now; not kept: {error}"
    return f"measured now, kept in {path}"
