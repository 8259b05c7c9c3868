"""Gray pixels to the model's input array: the only place that knows size and interpolation.

Training, calibration, benchmark and inference all call `to_input`. `PREPROCESSING_VERSION` is stored in
every model file; a file made under another version is refused. Replication to three channels, scaling
to 0..1 and ImageNet normalisation happen inside the model's graph with the constants below.

A plain resize to a square, without padding: a third of the training images were squeezed to a square
by their publisher, and padding would let a network tell them apart by their border.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

PREPROCESSING_VERSION: Final = 1
INPUT_SIDE: Final = 224
INPUT_SHAPE: Final = (INPUT_SIDE, INPUT_SIDE, 1)

# torchvision's and Keras's constants for RGB in 0..1 (keras.applications.densenet, mode "torch").
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


def to_input(gray: NDArray[np.uint8], *, side: int = INPUT_SIDE) -> NDArray[np.uint8]:
    """Resize one gray image, `uint8 [H, W]`, to the model's `uint8 [side, side, 1]`.

    Shrinking averages over the covered area (INTER_AREA, equal to tf.image.resize with
    method="area" and antialiasing); growing interpolates bilinearly, because INTER_AREA would repeat
    pixels. Raises ValueError for anything but a non-empty two-dimensional uint8 array.
    """
    if gray.dtype != np.uint8 or gray.ndim != 2 or gray.size == 0:
        raise ValueError(f"expected a non-empty uint8 [H, W] array, got {gray.dtype} {gray.shape}")
    height, width = gray.shape
    if (height, width) == (side, side):
        return gray[..., None]
    shrinks = height >= side and width >= side
    resized = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)[..., None]
