"""DICOM to gray pixels, and results back to DICOM, by pydicom, its codec plug-ins and highdicom: [dicom].

One file's way, put together in `reading`: `container` (file meta information, transfer syntax, inflating) ->
`attributes` (the data set, only what is needed) -> `acceptance` (is it one frontal chest radiograph by its
own account?) -> `pixels` (stored values, bounds first) -> `display` (rescale, VOI, MONOCHROME1, uint8).
And back: `source` (what is taken over) -> `secondary_capture` and `structured_report`, with `made` for what
they have in common; `artifacts.dicom_objects` writes them.
Importing this package loads neither pydicom nor highdicom; its modules do.
"""
