"""Every error that this project raises on purpose.

XrayError                  anything a user can mend; the command line prints it as one line
├── SourceError            the input folder, file or list cannot be used at all        (exit 2)
├── OutputError            the results cannot be written where they were asked for     (exit 2)
├── ModelError             the model file is missing, damaged or of another contract   (exit 2)
├── MissingExtraError      an optional dependency is not installed                     (exit 2)
├── DataError              training, calibration or benchmark data cannot be used      (exit 2)
├── ParityError            an exported file does not compute what its model computes   (exit 2)
└── ImageError             one image cannot be used: becomes a row, never ends a run
    ├── ReadError          its bytes cannot be had now; another run tries again
    └── RejectedError      it can be read, but the model may not judge it
"""

from collections.abc import Iterator
from contextlib import contextmanager


class XrayError(Exception):
    """A problem that the user can mend; its text says what to do next."""


class SourceError(XrayError):
    """The input folder or file cannot be used at all."""


class OutputError(XrayError):
    """Results cannot be written where they were asked for."""


class ModelError(XrayError):
    """A model file is missing, damaged or follows another contract."""


class MissingExtraError(XrayError):
    """An optional dependency is missing; the text names the pip command."""

    def __init__(self, needed_for: str, extra: str) -> None:
        super().__init__(f"{needed_for} needs an extra: pip install 'xray-infer[{extra}]'")


@contextmanager
def extra_for(needed_for: str, extra: str) -> Iterator[None]:
    """Turn a failing import of somebody else's package into a MissingExtraError; our own stay bugs."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("xray_infer"):
            raise
        raise MissingExtraError(needed_for, extra) from error


class DataError(XrayError):
    """Training, calibration or benchmark data cannot be used."""


class ParityError(XrayError):
    """An exported file does not compute what its Keras model computes."""


def one_line(text: str, *, longest: int) -> str:
    """Return text without line breaks and control characters, cut to `longest` characters.

    What a damaged file brings of its own goes into rows and onto terminals by way of errors.
    """
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


class ImageError(XrayError):
    """One image cannot be used; it becomes an `error` row with this reason."""


class ReadError(ImageError):
    """One image's bytes cannot be had: it is gone, locked or out of reach. Another run tries again."""


class RejectedError(ImageError):
    """One image is readable, but not something that the model may judge; becomes a `rejected` row."""
