"""An answer as an Enhanced Structured Report (PS3.3 A.35.2), by the template TID 1500 (PS3.16).

Measurement Report, TID 1500, is how results of image analysis are usually stored. Enhanced SR is the smallest
class that holds it: no item here refers to another by its position, which Comprehensive SR would add.

    Imaging Measurement Report
      language, device observer (program, model, digest), procedure
      Comment: the research notice
      Imaging Measurements > Measurement Group (TID 1501)
        algorithm: name, version, parameters; source image; the heat map, as a `Saliency`
        probabilities of the classes, 0 to 1; out-of-distribution score; label; reason

The classes have codes of our own, not SNOMED's of the diseases: `covid` is what a network takes to be like
the images of one collection, `pneumonia` leaves covid out, and neither is a finding of the patient. A program
that looks for findings must find none here.

VerificationFlag is UNVERIFIED: no person has looked at it. CompletionFlag is COMPLETE, as nothing will be
added to it, PreliminaryFlag PRELIMINARY, as it is not what findings are told by (PS3.3 C.17.2).
"""

from __future__ import annotations

import hashlib
from typing import Final

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from xray_infer import __version__
from xray_infer.classes import CLASS_NAMES, HEATMAP_NOTICE, RESEARCH_NOTICE, UNCERTAIN
from xray_infer.outputs.dicom.instance import EQUIPMENT, PROGRAM, Program, finish, uid_of
from xray_infer.outputs.dicom.original import Original
from xray_infer.run.results import DECIMALS, NO_LUNGS, NO_LUNGS_NOTICE, Row

SERIES_NUMBER: Final = 9002
SCHEME: Final = "99XRAYINFER"
MOST_VALUE, MOST_MEANING = 16, 64  # characters
OOD_SCORE: Final = Code("OOD_SCORE", SCHEME, "Out-of-distribution score")
LABEL: Final = Code("LABEL", SCHEME, "Class given by the model")
NO_LABEL: Final = Code(UNCERTAIN.upper(), SCHEME, "Below the least confidence asked for")
ENGLISH: Final = sr.CodedConcept("en", "RFC5646", "English")
PLAIN_CHEST_XRAY: Final = Code("399208008", "SCT", "Plain chest X-ray")
CONTAINS: Final = sr.RelationshipTypeValues.CONTAINS


def probability_code(class_name: str) -> Code:
    """Return the code of a class's probability."""
    return _code("PROB_", class_name, f"Probability of the class '{class_name}'")


def label_code(label: str) -> Code:
    """Return the code of a label: a class's, or that of `uncertain`."""
    return NO_LABEL if label == UNCERTAIN else _code("", label, f"Class '{label}' of the model")


def _code(prefix: str, class_name: str, meaning: str) -> Code:
    """Return a code of our own scheme; private schemes begin with 99 (PS3.16 section 8.2).

    The study's classes are named in it. A value has at most 16 characters of a small alphabet, a meaning 64
    (PS3.3 section 8.1, PS3.5 section 6.2), so that of another class is told apart by a digest of its name.
    """
    if class_name in CLASS_NAMES:
        return Code(f"{prefix}{class_name.upper()}", SCHEME, meaning)
    digest = hashlib.sha256(class_name.encode()).hexdigest().upper()
    return Code(f"{prefix or 'CLASS_'}{digest}"[:MOST_VALUE], SCHEME, meaning[:MOST_MEANING].rstrip())


def classification_report(original: Original, image: Dataset, *, row: Row, program: Program) -> Dataset:
    """Return the report of an answer; `image` is its finished heat map."""
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(row, program)),
        procedure_reported=PLAIN_CHEST_XRAY,
        imaging_measurements=[_group(original, image, row, program)],
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(ENGLISH),
    )
    notice = sr.TextContentItem(codes.DCM.Comment, RESEARCH_NOTICE, CONTAINS)
    report[0].ContentSequence.insert(len(report[0].ContentSequence) - 1, notice)  # before the figures
    made: Dataset = sr.EnhancedSR(
        evidence=[image, original.evidence()],  # of the first it takes patient and study
        content=report[0],
        series_instance_uid=program.series_uid("report", original, row),
        series_number=SERIES_NUMBER,
        series_description="Classification, research use only",
        sop_instance_uid=original.sop_instance,  # until the object is finished
        instance_number=original.number,
        is_complete=True,
        is_final=False,
        is_verified=False,
        content_qualification="RESEARCH",
        coding_schemes=[
            CodingSchemeIdentificationItem(
                SCHEME, name=f"Classes and scores of {PROGRAM}", responsible_organization=PROGRAM
            )
        ],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **EQUIPMENT,
    )
    finish(made, original, program.software(row))
    return made


def _observer(row: Row, program: Program) -> sr.ObserverContext:
    """TID 1004: the program, its model as the model of the device, the digest as its serial number."""
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=program.device_uid(row),
            name=f"{PROGRAM} {__version__}",
            manufacturer_name=PROGRAM,
            model_name=f"{row.model} {program.model_version}",
            serial_number=f"sha256:{row.model_sha256}",
        ),
    )


def _group(
    original: Original, image: Dataset, row: Row, program: Program
) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501, with the heat map, the reason and the notice of heat maps as extensions."""
    chances = zip(row.class_names, row.probabilities, strict=True)
    figures = {probability_code(name): value for name, value in chances}
    if row.ood_score is not None:
        figures[OOD_SCORE] = row.ood_score
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=uid_of("group", original.sop_instance, *program.facts(row)),
            identifier=f"{PROGRAM} {row.model}",
        ),
        algorithm_id=sr.AlgorithmIdentification(
            name=row.model,
            version=program.model_version,
            parameters=[
                f"model_sha256={row.model_sha256}",
                f"preprocessing_version={row.preprocessing_version}",
                *([f"lungs={row.lungs}"] if row.lungs else []),
                f"runtime={row.runtime}",
                *program.options,
            ],
            family=codes.DCM.ArtificialIntelligence,
        ),
        measurements=[
            sr.Measurement(name=name, value=round(value, DECIMALS), unit=codes.UCUM.NoUnits)
            for name, value in figures.items()
        ],
        qualitative_evaluations=[sr.QualitativeEvaluation(name=LABEL, value=label_code(row.label))],
        source_images=[
            sr.SourceImageForMeasurementGroup(
                referenced_sop_class_uid=original.sop_class, referenced_sop_instance_uid=original.sop_instance
            )
        ],
    )
    items = group[0].ContentSequence
    items.append(
        sr.ImageContentItem(
            name=codes.DCM.Saliency,  # CID 217, Visual Explanation
            referenced_sop_class_uid=image.SOPClassUID,
            referenced_sop_instance_uid=image.SOPInstanceUID,
            relationship_type=CONTAINS,
        )
    )
    whole = NO_LUNGS_NOTICE if row.lungs == NO_LUNGS else ""
    for comment in (row.reason, whole, f"Heat map: {HEATMAP_NOTICE}"):
        if comment:
            items.append(sr.TextContentItem(codes.DCM.Comment, comment, CONTAINS))
    return group
