"""Results as DICOM objects, by highdicom: [dicom].

`source` (what is taken over from the original) -> `secondary_capture` and `structured_report`, with `made`
for what they have in common; `objects` writes them. Importing this package loads neither pydicom nor
highdicom.
"""
