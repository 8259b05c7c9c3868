"""What of two runs can be compared in speed and memory: processes, stages, commands, peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xray_infer.benchmarks.comparison.judging import Candidate, judge
from xray_infer.benchmarks.comparison.samples import (
    COMMAND_MEASURES,
    PEER_MEASURES,
    STAGES,
    Measure,
    Samples,
    gather,
    process_measures,
    stage_samples,
    weak,
)
from xray_infer.benchmarks.comparison.yardsticks import Two, Yardstick, machine_yardsticks
from xray_infer.benchmarks.records.schema import CommandRun, PeerRun, ProcessRun


def candidates(runs: Two) -> list[Candidate]:
    """Return everything that can be compared, of the rows, stages, commands and peers that both runs have."""
    machine = next(iter(machine_yardsticks(runs).values()), None)
    return [*_of_processes(runs, machine), *_of_stages(runs, machine), *_of_folders(runs, machine)]


def _of_processes(runs: Two, machine: Yardstick | None) -> list[Candidate]:
    both = [run for one in runs for run in one.processes]
    methods = {run.row.name: run.row.method for run in both}
    own = {run.row.name for run in both if run.baseline}
    queries = {
        name: min(len(run.single_stream_ms) for run in both if run.row.name == name) for name in methods
    }
    found = []
    for measure, take in process_measures(*runs).items():
        rows, baselines = [], []
        for one in runs:
            rows.append(_gathered(one.processes, lambda run: run.row.name, measure, take))
            of_method = [run for run in one.processes if run.baseline]
            baselines.append(_gathered(of_method, lambda run: run.row.method, measure, take))
        yardsticks = {
            name: Yardstick(baselines[0][method], baselines[1][method])
            for name, method in methods.items()
            if name not in own and all(method in one for one in baselines)
        }
        notes = {name: why for name, count in queries.items() if (why := weak(measure, count))}
        found += judge(measure, (rows[0], rows[1]), machine, baselines=yardsticks, notes=notes)
    return found


def _gathered(
    runs: Sequence[ProcessRun],
    name: Callable[[ProcessRun], str],
    measure: Measure,
    take: Callable[[ProcessRun], float | None],
) -> Samples:
    return gather(((name(run), run.round, run.turn, take(run)) for run in runs), measure)


def _of_stages(runs: Two, machine: Yardstick | None) -> list[Candidate]:
    first, second = (stage_samples(run.stages) for run in runs)
    files = [
        {(run.row.name, stage): len(times) for run in one.stages for stage, times in run.stages.items()}
        for one in runs
    ]
    found = []
    for stage in (stage for stage in first if stage in second):
        notes = {
            row: f"other files: {files[0][row, stage]} and {files[1][row, stage]}"
            for row in first[stage]
            if row in second[stage] and files[0][row, stage] != files[1][row, stage]
        }
        measure = Measure(STAGES, stage, "ms a file")
        found += judge(measure, (first[stage], second[stage]), machine, notes=notes)
    return found


def _of_folders(runs: Two, machine: Yardstick | None) -> list[Candidate]:
    found = []
    for measure, of_command in COMMAND_MEASURES.items():
        commands = [[(run.row.name, run, of_command(run)) for run in one.commands] for one in runs]
        found += _of_folder(measure, commands, machine)
    for measure, of_peer in PEER_MEASURES.items():
        peers = [[(run.peer, run, of_peer(run)) for run in one.peer_runs] for one in runs]
        found += _of_folder(measure, peers, machine)
    return found


def _of_folder(
    measure: Measure,
    runs: Sequence[Sequence[tuple[str, CommandRun | PeerRun, float | None]]],
    machine: Yardstick | None,
) -> list[Candidate]:
    """Compare one measure of whole processes over a folder, where that had as many images."""
    samples = [
        gather(((name, run.round, run.turn, figure) for name, run, figure in one), measure) for one in runs
    ]
    images = [{name: run.images for name, run, _ in one} for one in runs]
    notes = {
        name: f"other folders: {images[0][name]} and {images[1][name]} images"
        for name in images[0]
        if images[0][name] != images[1].get(name, images[0][name])
    }
    return judge(measure, (samples[0], samples[1]), machine, notes=notes)
