"""Whether a DICOM file is, by its own account, something the model may judge: one frontal chest radiograph.

What the file leaves open passes, for the out-of-distribution check to judge by the pixels: secondary captures
of a digitised film say neither modality nor view. What it says clearly is believed. References: PS3.3
C.7.3.1.1.1 (modalities), C.8.11.5 and C.8.11.7 (DX views), C.7.6.1.1.1 (patient orientation), PS3.16 annex L.
"""

from __future__ import annotations

import re
from typing import Final

from pydicom.uid import UID

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.dicom.attributes import Attributes
from xray_infer.images.dicom.guard import guarded

# Radiographs, film that was scanned, and what says nothing: secondary capture, other. XR and DR stand
# in no standard and in many files.
RADIOGRAPHS: Final = frozenset(("", "CR", "DX", "RG", "XR", "DR", "OT", "SC", "HC"))
# Of the image storage classes; a private class passes, one of the standard's that is not here does not.
RADIOGRAPH_CLASSES: Final = frozenset(
    (
        "",
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image Storage
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image Storage - For Presentation
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
        "1.2.840.10008.5.1.4.1.1.7.1",  # Multi-frame ... Secondary Capture, of one frame: bits, bytes,
        "1.2.840.10008.5.1.4.1.1.7.2",
        "1.2.840.10008.5.1.4.1.1.7.3",  # words,
        "1.2.840.10008.5.1.4.1.1.7.4",  # colour
    )
)
_RAW: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"  # Digital X-Ray Image Storage - For Processing
# Words of BodyPartExamined (PS3.16 annex L) and of the meaning of region codes.
CHEST: Final = frozenset(("CHEST", "THORAX", "TORAX", "LUNG", "LUNGS", "CHESTABDOMEN"))
# fmt: off
OTHER_PARTS: Final = frozenset((
    "ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CERVICAL", "COCCYX", "CSPINE",
    "CTSPINE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HIP", "HUMERUS",
    "JAW", "JOINT", "KIDNEY", "KNEE", "LEG", "LOWEREXTREMITY", "LSPINE", "LSSPINE", "LUMBAR", "MANDIBLE",
    "MAXILLA", "NECK", "ORBIT", "PATELLA", "PELVIS", "RADIUS", "SACRUM", "SCAPULA", "SHOULDER", "SINUS",
    "SKULL", "SPINE", "SSPINE", "THIGH", "THUMB", "TIBIA", "TLSPINE", "TMJ", "TOE", "TOOTH", "TSPINE", "ULNA",
    "UPPEREXTREMITY", "WHOLEBODY", "WRIST", "ZYGOMA",
))
# Of ViewPosition, and words in the meaning of view codes.
NOT_FRONTAL: Final = frozenset((
    "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "LAT", "LLAT", "RLAT", "LATERAL",
    "LATERO", "MEDIOLATERAL", "LATEROMEDIAL", "XTABLE", "DECUBITUS", "DECUB", "OBLIQUE", "AXIAL", "LORDOTIC",
    "TANGENTIAL", "SWIMMERS", "SAGITTAL", "CC", "ML", "LM", "MLO",
))
# fmt: on
HEATMAP_TYPE: Final = "HEATMAP"  # among the values of ImageType: one of this program's, back from an archive
_WORD: Final = re.compile(r"[^A-Z]+")


def check_acceptable(attributes: Attributes) -> None:
    """Raise RejectedError, naming the attribute, for what is not one frontal radiograph of a chest.

    Raises ImageError for a file that should hold an image and has no pixels.
    """
    _check_kind(attributes)
    if HEATMAP_TYPE in attributes.text("ImageType").split("\\"):
        raise RejectedError("a heat map, not a radiograph")
    part = attributes.text("BodyPartExamined") or attributes.meanings("AnatomicRegionSequence")
    words = set(_WORD.split(part))
    if words & OTHER_PARTS and not words & CHEST:
        raise RejectedError(f"not of a chest: body part {part}")
    view = attributes.text("ViewPosition") or attributes.meanings("ViewCodeSequence")
    if set(_WORD.split(view)) & NOT_FRONTAL:
        raise RejectedError(f"not a frontal view: {view}")
    orientation = attributes.text("PatientOrientation")
    # Where a row or a column runs towards the front or the back, the picture is seen from the side.
    if not view and any(direction[:1] in ("A", "P") for direction in orientation.split("\\")):
        raise RejectedError(f"not a frontal view: patient orientation {orientation}")
    frames = attributes.integer("NumberOfFrames", 1)
    if frames > 1:
        raise RejectedError(f"{frames} frames, not one picture")


def _check_kind(attributes: Attributes) -> None:
    storage_class, modality = attributes.storage_class, attributes.text("Modality")
    with guarded("its SOPClassUID"):
        class_name = UID(storage_class).name
    is_image = "Rows" in attributes or class_name.endswith("Image Storage")
    if is_image and modality not in RADIOGRAPHS:
        raise RejectedError(f"not a radiograph: modality {modality}")
    if "PixelData" not in attributes:
        if "FloatPixelData" in attributes or "DoubleFloatPixelData" in attributes:
            raise RejectedError("floating-point pixels, which no radiograph has")
        if is_image:
            raise ImageError("incomplete DICOM: its pixel data are missing, or cut short")
        what = class_name if class_name != storage_class else modality
        raise RejectedError(f"a DICOM file without an image{what and f': {what}'}")
    if storage_class == _RAW or attributes.text("PresentationIntentType") == "FOR PROCESSING":
        raise RejectedError("raw detector data (For Processing); use the image For Presentation")
    if storage_class not in RADIOGRAPH_CLASSES and class_name != storage_class:
        raise RejectedError(f"not a radiograph: {class_name}")
