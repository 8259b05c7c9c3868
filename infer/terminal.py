"""What the four commands share at the edge: messages for a person on standard error, one line an error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from xray_infer.errors import XrayError

# What a long job tells a person on its way: a line at a time.
Report = Callable[[str], None]

EXIT_USAGE = 2
EXIT_FAULT = 70  # EX_SOFTWARE of sysexits.h: not the user's doing
EXIT_INTERRUPTED = 130


def say(line: str) -> None:
    """Print one line for a person; standard output is kept for results."""
    click.echo(line, err=True)


class DefaultGroup(click.Group):
    """A group in which a first word that names no command goes to `default_command`."""

    def __init__(self, *args: Any, default_command: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_command = default_command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Click's hook."""
        if args and args[0] not in (*self.commands, "-h", "--help", "--version"):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


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
