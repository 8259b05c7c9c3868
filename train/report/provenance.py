"""The page's sections on how a run was made: schedule, learning curves, data, seed, versions, wall time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.study.document import Block, Heading, Illustration, Paragraph, Table
from xray_infer.train.report.figures import RunFigures, to_plain
from xray_infer.train.report.plots import plot_file

_INLINE: Final = 6  # entries of a mapping that are readable in one table cell


def describe_training(run: RunFigures) -> list[Block]:
    """Return the section of the methods' schedules and learning curves."""
    schedules = [to_plain(one.result.schedule) for one in run.methods]
    keys = dict.fromkeys(key for schedule in schedules for key in schedule)
    rows = [(_words(key), *(_inline(schedule.get(key, "")) for schedule in schedules)) for key in keys]
    blocks: list[Block] = [Heading(2, "Training")]
    if rows:
        blocks.append(Table("Schedule", ("", *(one.result.title for one in run.methods)), rows))
    for one in run.methods:
        if one.result.history:
            last = ", ".join(f"{_words(key)} {value:.3g}" for key, value in one.result.history[-1].items())
            alt = f"Learning curves of {one.result.title}, {len(one.result.history)} epochs; last: {last}."
            blocks.append(Illustration(plot_file(one.result.method, "learning_curves"), alt))
    return blocks


def describe_run(run: RunFigures) -> list[Block]:
    """Return the section of the facts that the caller gave, whatever they are."""
    total = sum(one.result.wall_seconds for one in run.methods)
    rows = [*_fact_rows(to_plain(run.facts)), ("wall time of all methods", duration(total))]
    return [
        Heading(2, "The run"),
        Table("Data, seed, versions and configuration", ("fact", "value"), rows),
        Paragraph(f"All figures are in report.json. {RESEARCH_NOTICE}"),
    ]


def _fact_rows(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Give every value a row, but one row to a mapping that is short and not nested."""
    rows = []
    for key, value in facts.items():
        name = f"{prefix}{_words(key)}"
        nested = isinstance(value, dict) and any(isinstance(item, dict) for item in value.values())
        if nested or (isinstance(value, dict) and len(value) > _INLINE):
            rows += _fact_rows(value, f"{name}, ")
        else:
            rows.append((name, _inline(value)))
    return rows


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_words(key)} {_inline(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_inline, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _words(key: str) -> str:
    return key.replace("_", " ")


def duration(seconds: float) -> str:
    """Return a time as a person writes it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
