"""Heat maps: `methods` makes maps of an answer, `overlay` draws one over its picture.

`blend` and `caption` are the parts of drawing; `occlusion` is a method that needs passes of its own.
`outputs.overlays` writes the files.
"""
