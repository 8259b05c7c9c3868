"""What the four commands share at the edge: messages for a person on standard error, one line an error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from xray_infer.errors import XrayError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def say(line: str) -> None:
    """Print one line for a person; standard output is kept for results."""
    click.echo(line, err=True)


@contextmanager
def one_line_errors(program: str, *, debug: bool) -> Iterator[None]:
    """Turn an XrayError into one line and exit status 2; Ctrl-C into 130. `debug` shows tracebacks."""
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
