"""Heat maps: `methods` makes maps of an answer, `overlay` draws one over its picture.

`upsample`, `blend` and `caption` are the parts of drawing; `outputs.overlays` writes the files.
"""
