"""One input's bytes to the model's input, in one call: what runs in a worker, here or in another process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError
from xray_infer.images.decode import decode, full_size
from xray_infer.images.limits import Limits
from xray_infer.images.preprocess import to_input


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """`input` is uint8 [224, 224, 1]; `pixels`, for drawing only, the gray picture at full size."""

    input: NDArray[np.uint8]
    pixels: NDArray[np.uint8] | None = None


# Bytes to what the model and the drawing need; raises ImageError.
Prepare = Callable[[bytes], Prepared]


def prepare(data: bytes, *, limits: Limits, keep_pixels: bool = False) -> Prepared:
    """Decode one image and make the model's input of it. Raises ImageError."""
    try:
        pixels = decode(data, limits=limits)
        return Prepared(to_input(pixels), full_size(pixels, data, limits=limits) if keep_pixels else None)
    except MemoryError as error:
        raise out_of_memory() from error


def out_of_memory() -> ImageError:
    """Return the error of an image that there is no memory for."""
    return ImageError("there is not enough memory to decode it")
