"""The network that finds the lungs: boxes by Haar cascades (`marking`), a small network taught by them.

`lung_films` lists films and reads them small; `marking` runs the cascades over them once and keeps a CSV of
boxes; `box_views` alters a film and its box with it; `box_network` is the network in PyTorch and its file;
`box_fit` trains and judges it. What comes out runs in `xray_infer.images.lungs`, without PyTorch.
"""
