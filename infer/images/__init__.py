"""An image file's bytes to the model's input.

`prepare` is the whole way: `header` (format, size, whether it is complete; `magic` and `formats` know each
format), `decode` (pixels to gray, by `gray`; DICOM by `dicom`), `preprocess` (the model's input array).
`limits` bounds all of it, and `isolation` does it in a process of its own. Nothing here knows models, runs or
outputs.
"""
