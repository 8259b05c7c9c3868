"""Any prefix of a journal resumes: whatever was on disk when a run was killed, nothing is lost or doubled."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fake_model import SHADES, Shade, fake_model
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_infer.run.engine import Engine, EngineOptions
from xray_infer.run.file_job import FileJob
from xray_infer.run.job import Stop
from xray_infer.run.progress import Progress, Summary

FEWER = settings(max_examples=settings.default.max_examples // 5)  # each example is several runs

NAMES = st.text(st.sampled_from("ab/\n\"',=\udce9 é"), min_size=1, max_size=6)
# No picture, no stamp, or one of the pictures; an input without a stamp is read in every run.
INPUTS = st.lists(
    st.tuples(NAMES, st.one_of(st.none(), st.integers(0, SHADES - 1)), st.sampled_from(["", "1 1", "2 9"])),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one[0],
)


@dataclass
class Inputs:
    """A source of inputs in memory. The run is asked to stop after `stop_after` of them."""

    items: list[Shade]
    stop: Stop = field(default_factory=Stop)
    stop_after: int | None = None
    location: str = "/films"
    skipped: int = 0

    def __iter__(self) -> Iterator[Shade]:
        for number, item in enumerate(self.items):
            if number == self.stop_after:
                self.stop.request()
            yield item
        if self.stop_after is not None:
            self.stop.request()

    def count(self) -> int:
        return len(self.items)


def classify(
    out: Path, inputs: list, *, stop_after: int | None = None, batch_size: int = 1
) -> tuple[FileJob, list]:
    """Run into `out`, and return the job and the names that were read."""
    read: list[str] = []
    source = Inputs([Shade(name, shade, stamp, read) for name, shade, stamp in inputs], stop_after=stop_after)
    with Engine(fake_model(batch_size), EngineOptions(workers=2, batch_size=batch_size)) as engine:
        progress = Progress(source.count, quiet=True)
        job = FileJob(
            source=source,
            items=source,
            stop=source.stop,
            progress=progress,
            summary=Summary(engine.manifest.class_names),
            engine=engine,
            out=out,
        )
        job.to_file(restart=False)
    return job, read


def journal_of_a_killed_run(folder: Path, inputs: list) -> bytes:
    """Return the journal as it is just before a run would remove it."""
    # Asked to stop once the last input is listed, a run keeps its journal.
    classify(folder / "killed.csv", [*inputs, ("never read", 0, "1 1")], stop_after=len(inputs))
    return (folder / "killed.csv.journal").read_bytes()


@FEWER
@given(INPUTS, st.floats(0, 1))
def test_a_run_goes_on_from_any_prefix_of_a_journal(inputs, share):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole = journal_of_a_killed_run(folder, inputs)
        classify(folder / "undisturbed.csv", inputs)
        prefix = whole[: round(share * len(whole))]
        (folder / "resumed.csv.journal").write_bytes(prefix)

        job, read = classify(folder / "resumed.csv", inputs)
        assert job.finished
        assert (folder / "resumed.csv").read_bytes() == (folder / "undisturbed.csv").read_bytes()
        assert not (folder / "resumed.csv.journal").exists()

        kept = [json.loads(line) for line in prefix.splitlines(keepends=True)[1:] if line.endswith(b"\n")]
        safe = {name for name, stamp, _ in kept if stamp}
        assert Counter(read) == Counter(name for name, _, _ in inputs if name not in safe)
        assert job.reused == len(safe)


@FEWER
@given(INPUTS, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), max_size=3), st.integers(1, 4))
def test_a_run_that_is_cut_again_and_again_ends_like_one_that_was_not(inputs, cuts, batch_size):
    """Each time it stops after some inputs, and then loses some bytes of its journal's end."""
    with tempfile.TemporaryDirectory() as temporary:
        out, undisturbed = Path(temporary, "r.csv"), Path(temporary, "undisturbed.csv")
        classify(undisturbed, inputs, batch_size=batch_size)
        journal = out.with_name("r.csv.journal")
        for stop_after, lost in cuts:
            job, _ = classify(out, inputs, stop_after=stop_after, batch_size=batch_size)
            assert not job.finished or stop_after >= len(inputs)
            if journal.exists():
                whole = journal.read_bytes()
                journal.write_bytes(whole[: len(whole) - min(lost, len(whole))])
        job, _ = classify(out, inputs, batch_size=batch_size)
        assert job.finished
        assert out.read_bytes() == undisturbed.read_bytes()
        assert not journal.exists()


@FEWER
@given(INPUTS, st.binary(max_size=30))
def test_a_torn_line_costs_itself_alone(inputs, noise):
    """Whatever a killed write has left behind the last newline."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole = journal_of_a_killed_run(folder, inputs)
        classify(folder / "undisturbed.csv", inputs)
        (folder / "resumed.csv.journal").write_bytes(whole + noise.replace(b"\n", b""))
        _, read = classify(folder / "resumed.csv", inputs)
        assert (folder / "resumed.csv").read_bytes() == (folder / "undisturbed.csv").read_bytes()
        assert sorted(read) == sorted(name for name, _, stamp in inputs if not stamp)
