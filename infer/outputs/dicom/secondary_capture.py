"""A heat map as a Secondary Capture Image (PS3.3 A.8.1): what any viewer shows beside the radiograph.

The plain class, not Multi-frame True Color: it holds one picture in RGB as well, and every archive and
viewer takes it. The pixels are stored as they are, in Explicit VR Little Endian: what is read back is what
was drawn, and no decoder is needed. To bound an object's size (a radiograph of 4,280 x 3,520 would make 45
MB) the picture is drawn at most `LONGEST_SIDE` pixels long, about 11 MB: a map of a few cells has no finer
detail, and the radiograph itself stands beside it. RLE saves a tenth of that and takes seconds; JPEG
baseline, a twentieth of the size, blurs the caption and is not what was drawn.

No PixelSpacing: nothing is to be measured on it. BurnedInAnnotation is YES, for the caption: it identifies no
patient, but what looks for text in pixels (PS3.15 annex E) is to find this.
"""

from __future__ import annotations

from typing import Final

import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from xray_infer import __version__
from xray_infer.classes import HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.images.dicom.acceptance import HEATMAP_TYPE
from xray_infer.outputs.dicom.instance import EQUIPMENT, PROGRAM, Program, finish
from xray_infer.outputs.dicom.original import Original
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.run.results import Row

LONGEST_SIDE: Final = 2048
SERIES_NUMBER: Final = 9001  # behind the series of the modalities, which count from 1


def heatmap_image(
    overlay: NDArray[np.uint8], original: Original, *, heatmap: Heatmap, row: Row, program: Program
) -> Dataset:
    """Return the object of an overlay, RGB uint8 [H, W, 3], of the source image."""
    made: Dataset = highdicom.sc.SCImage(
        np.ascontiguousarray(overlay),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # it must be given; what the source says takes its place
        study_instance_uid=original.study,
        series_instance_uid=program.series_uid("heat map", original, row),
        series_number=SERIES_NUMBER,
        series_description=f"Heat map ({heatmap.title}), research use only"[:64],
        sop_instance_uid=original.sop_instance,  # until the object is finished
        instance_number=original.number,
        content_qualification="RESEARCH",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **EQUIPMENT,
    )
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER", HEATMAP_TYPE]
    made.BodyPartExamined = "CHEST"  # nothing else is accepted
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = (
        f"{heatmap.title} of the class '{heatmap.class_name}' over the source image, "
        f"by {PROGRAM} {__version__} with the model {row.model} {program.model_version} "
        f"(SHA-256 {row.model_sha256}). {HEATMAP_NOTICE} {RESEARCH_NOTICE}"
    )
    made.PatientOrientation = ""
    made.update(original.image)
    reference = original.reference()
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    reference.PurposeOfReferenceCodeSequence = [highdicom.sr.CodedConcept.from_code(purpose)]
    reference.SpatialLocationsPreserved = "NO"  # another size, with a caption below
    made.SourceImageSequence = [reference]
    finish(made, original, program.software(row))
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    return made
