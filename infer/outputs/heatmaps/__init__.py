"""Heat maps: `methods` makes maps of an answer, `overlay` draws one over its picture.

`blend` and `caption` are the parts of drawing; `outputs.overlays` writes the files. `occlusion` and its
`fills` are a method of their own.
"""
