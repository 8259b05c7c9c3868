"""The engine `ray`: Ray Data deals shards to a pool of actors, each with one model; needs `[ray]`.

Ray Data starts actors that die again, and gives their shards to others, both without end (its defaults,
max_restarts=-1 and max_task_retries=-1, are what is wanted here): how often a shard may be begun is counted
where it is begun, see `work`. Nothing but shards' keys and counts goes through Ray: pixels and rows pass
between the workers and the stores alone.

References: Ray's documentation of Dataset.map_batches, ActorPoolStrategy and of fault tolerance of actors.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from xray_infer.errors import XrayError, extra_for
from xray_infer.run.shards.shard_store import Shard
from xray_infer.run.shards.work import NO_STAGES, ShardEngine, ShardResult, ShardWorker, WorkerSettings

_KEY: Final = "shard"
_ANSWER: Final = "made"
CONNECT_S: Final = 10.0
_HOST_AND_PORT: Final = re.compile(r"[\w.-]+:\d+")


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where and on what: a cluster's address (None: RAY_ADDRESS, or a cluster of this machine alone), the
    number of actors (None: what the cluster's processors and GPUs hold), processors and GPUs of each."""

    address: str | None = None
    actors: int | None = None
    actor_cpus: float = 1
    actor_gpus: float = 0


class _Actor:
    """What Ray calls with a batch of one shard. May be made anywhere, and again after it died."""

    def __init__(self, settings: WorkerSettings, count: int) -> None:
        self._count = count
        self._error = ""
        try:
            self._worker = ShardWorker(settings)
        except XrayError as error:
            self._error = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        made = []
        for number in batch[_KEY]:
            if self._error:
                made.append(ShardResult(int(number), {}, NO_STAGES, self._error, fatal=True))
            else:
                made.append(self._worker.make(Shard(int(number), self._count)))
        return {_ANSWER: [json.dumps(asdict(one)) for one in made]}


def check_ray() -> None:
    """Raise MissingExtraError without Ray."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a hospital's machine reports to nobody
    with extra_for("--engine ray", "ray"):
        import ray.data  # noqa: F401


def ray_engine(options: RayOptions) -> ShardEngine:
    """Return the engine; a cluster of this machine alone ends with it."""

    def make(
        settings: WorkerSettings, shards: Sequence[Shard], stopped: Callable[[], bool]
    ) -> Iterator[ShardResult]:
        import ray

        _connect(options)
        try:
            yield from _answers(settings, shards, options, stopped)
        finally:
            ray.shutdown()

    return make


def _connect(options: RayOptions) -> None:
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        if _HOST_AND_PORT.fullmatch(address):  # where nobody listens Ray ends the process
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        # Ray tells of a missing token only in the cause of its error.
        wants_token = "InvalidAuthToken" in f"{error} {error.__cause__}"
        mend = (
            "it wants a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
            if wants_token
            else "see `ray status`"
        )
        raise XrayError(f"--engine ray: no cluster at {address}: {_gist(error)}; {mend}") from error


def _answers(
    settings: WorkerSettings, shards: Sequence[Shard], options: RayOptions, stopped: Callable[[], bool]
) -> Iterator[ShardResult]:
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    numbers = [{_KEY: shard.number} for shard in shards]
    found = ray.data.from_items(numbers, override_num_blocks=len(numbers)).map_batches(
        _Actor,
        fn_constructor_args=(settings, shards[0].count),
        batch_size=1,
        compute=ActorPoolStrategy(
            size=min(len(shards), options.actors or _actors_that_fit(options)),
            max_tasks_in_flight_per_actor=1,  # a shard takes long: none waits behind another in the end
        ),
        num_cpus=options.actor_cpus,
        num_gpus=options.actor_gpus or None,
    )
    try:
        for row in found.iter_rows():
            yield ShardResult(**json.loads(row[_ANSWER]))
            if stopped():
                return
    except (ray.exceptions.ActorDiedError, ray.exceptions.RaySystemError) as error:
        raise XrayError(f"--engine ray: the cluster went away: {_gist(error)}; see `ray status`") from error


def _actors_that_fit(options: RayOptions) -> int:
    """Return how many actors the cluster's processors and GPUs hold now. Raises XrayError for none."""
    import ray

    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call, unused-ignore]
    fits = [have.get("CPU", 0) // options.actor_cpus]
    if options.actor_gpus:
        fits.append(have.get("GPU", 0) // options.actor_gpus)
    count = int(min(fits))
    if count < 1:
        raise XrayError(
            f"--engine ray: an actor needs {options.actor_cpus:g} processors and {options.actor_gpus:g} "
            f"GPUs; the cluster has {have.get('CPU', 0):g} and {have.get('GPU', 0):g}"
        )
    return count


def _gist(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
