"""What pydicom and its plug-ins raise, turned into the row of one image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from xray_infer.errors import ImageError, one_line

# pydicom warns of every value that is not by the book; a person who classifies a folder cannot mend them.
# Of its own modules only, and once: changing the filters around each call is not safe between threads.
warnings.filterwarnings("ignore", module=r"pydicom\b")


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turn any exception of the calls inside into an ImageError that says what was being done.

    Only calls into pydicom belong inside. On damaged files it raises whatever Python raises, from
    AttributeError to RecursionError, besides its own; there is no narrower class that holds them all, so the
    place is kept narrow instead.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"not enough memory for {doing}") from error
    except RecursionError as error:  # its own text depends on where the stack ended
        raise ImageError(f"damaged DICOM: {doing}: nested too deeply") from error
    except Exception as error:
        said = one_line(str(error), longest=200) or type(error).__name__
        raise ImageError(f"damaged DICOM: {doing}: {said}") from error
