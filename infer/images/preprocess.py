"""Gray pixels to the model's input array: the only place that knows what is cut out, size and interpolation.

Training, calibration, benchmark and inference all go through `Preprocessing`. A model file says which one it
was made with; `VERSIONS` can be run. Replication to three channels, scaling to 0..1 and ImageNet
normalisation happen inside the model's graph with the constants below.

Version 1 takes the whole picture. Version 2 takes the lungs' box, see `lungs`, with a margin: what stands at
a film's border tells the hospital and not the disease. Where no lungs are found it takes the whole picture.
What is taken is resized to a square, without padding, which would show the shape of the film.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.images.lungs import find_lungs

WHOLE_PICTURE: Final = 1
LUNGS: Final = 2
VERSIONS: Final = (WHOLE_PICTURE, LUNGS)
SIDES: Final = range(32, 1025, 32)  # DenseNet121 halves its input five times
MARGIN: Final = 0.05  # of the box's own width and height, on each side

# torchvision's and Keras's constants for RGB in 0..1 (keras.applications.densenet, mode "torch").
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a picture, in shares of its width and height: 0 <= left < right <= 1, as top and bottom."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def of(self, height: int, width: int) -> tuple[slice, slice]:
        """Return the rows and columns of a picture of this size that lie in it, one of each at least."""
        return _pixels(self.top, self.bottom, height), _pixels(self.left, self.right, width)


WHOLE: Final = Area()


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """What a model sees of a picture: `pixels` uint8 [side, side, 1], of an `area`, None for all of it."""

    pixels: NDArray[np.uint8]
    area: Area | None


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """One way from a gray picture to a model's input: `version` is one of VERSIONS, `side` one of SIDES."""

    version: int = WHOLE_PICTURE
    side: int = 224

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one input, [H, W, channels]."""
        return self.side, self.side, 1

    @property
    def decode_side(self) -> int:
        """The side that a picture is decoded for, see `decode`: the lungs are some two thirds of a film."""
        return self.side if self.version == WHOLE_PICTURE else self.side * 3 // 2

    def __call__(self, gray: NDArray[np.uint8]) -> ModelInput:
        """Make the input of one gray picture, `uint8 [H, W]`.

        Raises ValueError for anything but a non-empty two-dimensional uint8 array.
        """
        _check(gray)
        area = None if self.version == WHOLE_PICTURE else lungs_area(gray)
        part = gray if area is None else gray[area.of(*gray.shape)]
        return ModelInput(to_input(part, side=self.side), area)


STUDY: Final = Preprocessing()  # what the study's networks see


def lungs_area(gray: NDArray[np.uint8]) -> Area | None:
    """Return the lungs' box with its margin in a picture, `uint8 [H, W]`; None where none is found."""
    box = find_lungs(gray)
    if box is None:
        return None
    height, width = gray.shape
    aside, above = MARGIN * (box.right - box.left), MARGIN * (box.bottom - box.top)
    return Area(
        left=max(0.0, (box.left - aside) / width),
        top=max(0.0, (box.top - above) / height),
        right=min(1.0, (box.right + aside) / width),
        bottom=min(1.0, (box.bottom + above) / height),
    )


def to_input(gray: NDArray[np.uint8], *, side: int) -> NDArray[np.uint8]:
    """Resize one gray picture, `uint8 [H, W]`, to `uint8 [side, side, 1]`.

    Shrinking averages over the covered area (INTER_AREA, equal to tf.image.resize with
    method="area" and antialiasing); growing interpolates bilinearly, because INTER_AREA would repeat
    pixels. Raises ValueError for anything but a non-empty two-dimensional uint8 array.
    """
    _check(gray)
    height, width = gray.shape
    if (height, width) == (side, side):
        return gray[..., None]
    shrinks = height >= side and width >= side
    resized = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)[..., None]


def _check(gray: NDArray[np.uint8]) -> None:
    if gray.dtype != np.uint8 or gray.ndim != 2 or gray.size == 0:
        raise ValueError(f"expected a non-empty uint8 [H, W] array, got {gray.dtype} {gray.shape}")


def _pixels(low: float, high: float, length: int) -> slice:
    first = min(round(low * length), length - 1)
    return slice(first, max(round(high * length), first + 1))
