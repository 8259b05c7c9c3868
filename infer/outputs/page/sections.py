"""The parts of a page that need no script: what came of the run, and what ran. Made from the run's record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from xray_infer.classes import UNCERTAIN
from xray_infer.outputs.page.page_text import escaped
from xray_infer.run.alarm import STRANGE, UNKNOWN
from xray_infer.run.progress import duration
from xray_infer.run.results import ERROR, OK, REJECTED
from xray_infer.run.sources import STANDARD_INPUT

Record = Mapping[str, Any]  # see `xray_infer.run.record`

STATUS_WORDS: Final[Mapping[str, str]] = {
    OK: "classified",
    REJECTED: "rejected",
    ERROR: "could not be read",
}
_EXPLAINED: Final[Mapping[str, str]] = {
    OK: "classified",
    REJECTED: "readable, but nothing that the model may judge",
    ERROR: "could not be read",
}
MOST_REASONS: Final = 50
_COMPARED: Final = ("strangeness", "limit")


def source_of(record: Record) -> str:
    """Return where the images came from, for people."""
    source: str = record["what_rows_depend_on"]["source"]
    return "standard input" if source == STANDARD_INPUT else source


def lead(record: Record) -> str:
    """Return what the page is about in one sentence, as HTML."""
    counts, time = record["counts"], record["time"]
    parts = [f"{counts['by_status'].get(one, 0):,} {words}" for one, words in STATUS_WORDS.items()]
    text = f"{counts['images']:,} images from {source_of(record)}: {', '.join(parts)}."
    going = "" if record["finished"] else " The run goes on; this is what it had come to by then."
    return f"{escaped(text)} Made <time>{_when(time['ended'])}</time>.{going}"


def alarm(record: Record) -> str:
    """Return what the alarm says of all films, and which of them are strange, as HTML.

    Nothing where the model file does not know its training hospitals: the record says so.
    """
    found = record["alarm"]
    if found["status"] == UNKNOWN:
        return ""
    text = escaped(found["sentence"])
    if found["status"] != STRANGE:
        return f"<p>{text}</p>"
    return f'<p class="notice"><strong>{text}</strong></p>{_strange(found["strange"])}'


def _strange(groups: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (one["name"], one["kind"], f"{one['judged_films']:,}", *(f"{one[of]:.1f}" for of in _COMPARED))
        for one in groups[:MOST_REASONS]
    ]
    heads = ("Name", "Kind", "Films", "Strangeness", "Limit")
    return _table("Unlike the training hospitals", heads, rows) if rows else ""


def counts(record: Record) -> str:
    """Return the tables of statuses, labels and reasons as HTML."""
    found = record["counts"]
    by_status, by_label = found["by_status"], found["by_label"]
    labels = [
        name
        for name in (*record["model"]["class_names"], UNCERTAIN)
        if name != UNCERTAIN or by_label.get(name)
    ]
    parts = [
        '<div class="tables">',
        _table(
            "By status",
            ("Status", "Images", "Share"),
            _shares((f"{one}: {words}", by_status.get(one, 0)) for one, words in _EXPLAINED.items()),
        ),
        _table(
            "Classified images by label",
            ("Label", "Images", "Share"),
            _shares((name, by_label.get(name, 0)) for name in labels),
        ),
        "</div>",
    ]
    for status in (REJECTED, ERROR):
        parts += _reasons(status, found["by_reason"].get(status, {}))
    if found["skipped_other_files"]:
        parts.append(
            f"<p>{found['skipped_other_files']:,} other files were passed over: not images, or hidden.</p>"
        )
    return "\n".join(parts)


def what_ran(record: Record) -> str:
    """Return what made the results as lists of names and values, in HTML."""
    model, time, options = record["model"], record["time"], record["what_rows_depend_on"]
    confidence, limit = options["min_confidence"], options["ood_threshold"]
    named = {
        "Model": f"{model['name']} {model['version']}, trained by {model['method']}",
        "Form": f"{model['format']}, recipe {model['recipe']} (how its numbers are stored)",
        "Runtime": f"{options['runtime']}, {record['workers']} workers",
        "Program": f"xray-infer {record['xray_infer']}",
        "Images from": source_of(record),
        "Results": record["results"],
        "Started": _when(time["started"]),
        "Ended": _when(time["ended"]),
        "Took": f"{duration(time['seconds'])}, {time['images_per_s']:,} images a second",
        "Labelled uncertain": f"below a probability of {confidence}" if confidence else "never",
        "Rejected as unlike": "never" if limit in (None, "never") else f"above a score of {limit:.3f}",
        "Machine": f"{record['machine']['processor']}, {record['machine']['system']}",
    }
    if record["counts"]["reused_from_an_earlier_run"]:
        named["From an earlier run"] = f"{record['counts']['reused_from_an_earlier_run']:,} of the rows"
    everything = dict(_flat({**options, "versions": record["versions"]}))
    return (
        f"{_list(named)}\n<details>\n<summary>Everything that the results depend on</summary>\n"
        f"{_list(everything)}\n</details>"
    )


def _reasons(status: str, reasons: Mapping[str, int]) -> Iterator[str]:
    if not reasons:
        return
    ranked = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    rows = [(reason, f"{count:,}") for reason, count in ranked[:MOST_REASONS]]
    if len(ranked) > MOST_REASONS:
        rows.append(("other reasons", f"{sum(count for _, count in ranked[MOST_REASONS:]):,}"))
    caption = {REJECTED: "Why images were rejected", ERROR: "Why files could not be read"}[status]
    yield _table(caption, ("Reason", "Files"), rows)
    yield f'<p><button type="button" data-status="{status}" hidden>Show these files in the table</button></p>'


def _shares(counts: Iterable[tuple[str, int]]) -> list[tuple[str, str, str]]:
    found = list(counts)
    whole = sum(count for _, count in found)
    return [(name, f"{count:,}", f"{count / whole:.1%}" if whole else "") for name, count in found]


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escaped(one)}</th>' for one in heads)
    body = "\n".join(map(_line, rows))
    return (
        f'<table class="numbers">\n<caption>{escaped(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def _line(cells: Sequence[str]) -> str:
    first, *rest = map(escaped, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'


def _list(named: Mapping[str, object]) -> str:
    lines = "\n".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in named.items()
    )
    return f"<dl>\n{lines}\n</dl>"


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield name.replace("_", " "), ", ".join(f"{key} {one}" for key, one in value.items())
        else:
            yield name.replace("_", " "), "not given" if value is None else value


def _when(iso: str) -> str:
    """Return a time of the record for people; it is in UTC."""
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M:%S} UTC"
