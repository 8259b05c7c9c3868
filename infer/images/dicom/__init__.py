"""DICOM to gray pixels, by pydicom and its codec plug-ins: [dicom].

One file's way, put together in `reading`: `container` (file meta information, transfer syntax, inflating) ->
`attributes` (the data set, only what is needed) -> `acceptance` (is it one frontal chest radiograph by its
own account?) -> `pixels` (stored values, bounds first) -> `display` (rescale, VOI, MONOCHROME1, uint8).
Importing this package loads no pydicom; its modules do.
"""
