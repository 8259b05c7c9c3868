"""What the commands of all studies share: `--debug`, errors in one line, the notice, usual arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Final

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import debug_option, one_line_errors

FILE: Final = click.Path(path_type=Path)
folder_argument = click.argument("folder", type=FILE)


def rounds_option(default: int, *, help: str = "After one warm-up.") -> Callable[..., Callable[..., None]]:
    """Return the option `--rounds`."""
    return click.option("--rounds", type=click.IntRange(1), default=default, show_default=True, help=help)


def study(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function; click's decorators for its other options stand below this one.

    `name` is what errors begin with.
    """

    def decorate(run: Callable[..., None]) -> click.Command:
        @wraps(run)
        def callback(*, debug: bool, **options: object) -> None:
            with one_line_errors(name, debug=debug):
                run(**options)

        return debug_option(click.command(name, epilog=RESEARCH_NOTICE)(callback))

    return decorate
