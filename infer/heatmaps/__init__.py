"""Heat maps: `methods` makes maps of an answer, `overlay` draws one; `artifacts.overlays` writes them."""
