"""The pages of the commands, from click's own help: whatever sections a command divides its options into."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import click
from page_parts import HEAD, paragraphs, table

from xray_infer.classes import RESEARCH_NOTICE

PROGRAMS: Final[Mapping[str, str]] = {
    "xray-infer": "xray_infer.cli",
    "xray-view": "xray_infer.viewer.cli",
    "xray-train": "xray_infer.train.cli",
    "xray-export": "xray_infer.export.cli",
    "xray-bench": "xray_infer.benchmarks.cli",
}
WIDTH: Final = 100_000  # nothing is wrapped


class Recorder(click.HelpFormatter):
    """Keeps a command's help by section: (option, text) pairs."""

    def __init__(self) -> None:
        super().__init__(width=WIDTH, max_width=WIDTH)
        self.sections: dict[str, list[tuple[str, str]]] = {}
        self._section = ""

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Click's hook."""
        self._section = name
        yield

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Click's hook."""
        self.sections.setdefault(self._section, []).extend(rows)


def command_page(program: str) -> str:
    """Return the page of a program with all its sub-commands."""
    main = importlib.import_module(PROGRAMS[program]).main
    parts = [f"{HEAD}# {program}\n", *_command(main, program, None)]
    prefix = (main.context_settings or {}).get("auto_envvar_prefix", "")
    if prefix:
        parts.append(f"Every option can be given as an environment variable: `{prefix}_NAME` for `--name`.\n")
    return "\n".join([*parts, f"{RESEARCH_NOTICE}\n"])


def _command(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    """Yield the parts of the page of one command; `path` is click's, without the parents' arguments."""
    *parents, name = path.split()
    level = len(parents) + 1
    with click.Context(command, info_name=name, parent=parent, **command.context_settings) as context:
        if level > 1:
            yield f"{'#' * level} {path}\n"
        yield f"    {path} {' '.join(command.collect_usage_pieces(context))}\n"
        yield paragraphs(command.help or "") + "\n"
        recorder = Recorder()
        command.format_options(context, recorder)
        recorder.sections.pop("Commands", None)
        for section, rows in recorder.sections.items():
            yield f"{'#' * (level + 1)} {section}\n" if len(recorder.sections) > 1 else ""
            yield table(("option", "meaning"), [(f"`{option}`", text) for option, text in rows]) + "\n"
        # A group has sub-commands, and so has a command that can be called by itself as well.
        for sub, found in sorted(getattr(command, "commands", {}).items()):
            if not found.hidden:
                yield from _command(found, f"{path} {sub}", context)
