"""What the commands share at the edge: messages on standard error, one line an error, their form of help."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from xray_infer.errors import XrayError

# What a long job tells a person on its way: a line at a time.
Report = Callable[[str], None]

EXIT_USAGE = 2
EXIT_FAULT = 70  # EX_SOFTWARE of sysexits.h: not the user's doing
EXIT_INTERRUPTED = 130

debug_option: Final = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


def say(line: str) -> None:
    """Print one line for a person; standard output is kept for results."""
    click.echo(line, err=True)


class DefaultGroup(click.Group):
    """A group in which a first word that names no command goes to `default_command`.

    Options of the default command may stand before the name of another one that has them, too.
    """

    def __init__(self, *args: Any, default_command: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_command = default_command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Click's hook."""
        place = first_word(self.commands[self.default_command], args)
        if place is not None and args[place] in self.commands:
            args = [args[place], *args[:place], *args[place + 1 :]]
        elif args and args[0] not in ("-h", "--help", "--version"):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


class SectionOption(click.Option):
    """An option that stands in a section of its own name in the help of a `MainCommand`."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class MainCommand(click.Command):
    """A command whose first word may name one of `commands` instead; its help is in sections.

    With a command `merge`, a folder of that name is given as `./merge`.
    """

    def __init__(self, *args: Any, commands: Sequence[click.Command] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = {str(command.name): command for command in commands}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Click's hook: return the context of the command that is named, of this one if none is."""
        place = first_word(self, args)
        if place is None or args[place] not in self.commands:
            return super().make_context(info_name, args, parent, **extra)
        named = self.commands[args[place]]
        # Of a command without arguments: click shows those of a parent before the name of the command.
        bare = click.Command(self.name)
        own = self.context_class(bare, parent, info_name, **{**self.context_settings, **extra})
        return named.make_context(named.name, [*args[:place], *args[place + 1 :]], own)

    def invoke(self, ctx: click.Context) -> Any:
        """Click's hook."""
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click's hook: write the options by section, in the order in which they were declared."""
        sections: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record is not None:
                place = (
                    sections.setdefault(option.section, []) if isinstance(option, SectionOption) else others
                )
                place.append(record)
        sections["Other options"] = others
        if self.commands:
            sections["Commands"] = [
                (name, command.get_short_help_str()) for name, command in self.commands.items()
            ]
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def first_word(command: click.Command, args: Sequence[str]) -> int | None:
    """Return the place of the first argument that is neither an option nor its value; None without one."""
    with_value = {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not (parameter.is_flag or parameter.count)
        for name in parameter.opts
    }
    place = 0
    while place < len(args) and args[place] != "--":
        if args[place] == "-" or not args[place].startswith("-"):
            return place
        place += 2 if args[place] in with_value else 1
    return None


@contextmanager
def one_line_errors(program: str, *, debug: bool) -> Iterator[None]:
    """Turn an XrayError into one line and exit status 2; Ctrl-C into 130; a fault of ours into 70.

    `debug` shows tracebacks.
    """
    try:
        yield
    except XrayError as error:
        if debug:
            raise
        say(f"{program}: {error}")
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        if debug:
            raise
        say(f"{program}: interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if debug:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        say(f"{program}: a fault of this program: {what}; run it again with --debug and report what it shows")
        sys.exit(EXIT_FAULT)


@contextmanager
def hide_native_output() -> Iterator[None]:
    """Send what is written to descriptor 2 nowhere, while `sys.stderr` still reaches the user.

    libjpeg and libpng print what they find in a damaged file to the descriptor and offer OpenCV's callers no
    switch; a hundred thousand damaged files would bury every message, and a row's reason says it better. It
    holds for the whole process, so it belongs to a command and not to a library, and it also hides what a
    library says as it crashes: leave it out when debugging.
    """
    shown = sys.stderr
    kept = os.dup(2)
    try:
        if _is_descriptor_2(shown):
            shown.flush()
            sys.stderr = open(  # noqa: SIM115  # closed below, by way of `kept`
                kept, "w", encoding=shown.encoding, errors=shown.errors, buffering=1, closefd=False
            )
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        yield
    finally:
        if sys.stderr is not shown:
            sys.stderr.flush()
            sys.stderr = shown
        os.dup2(kept, 2)
        os.close(kept)


def _is_descriptor_2(stream: object) -> bool:
    """Tell whether a stream writes to descriptor 2; a test's or a notebook's may write to memory."""
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, OSError):
        return False
