"""An image file's bytes to the model's input.

`decode.prepare` is the whole way: `formats` (which format it is, its size, whether it is complete), `decode`
(pixels to gray, by `gray`; DICOM by `dicom`), `preprocess` (the model's input array). `limits` bounds all of
it, and `isolation` does it in a process of its own. Nothing here knows models, runs or outputs.
"""
