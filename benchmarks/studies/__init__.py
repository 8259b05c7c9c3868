"""Studies: each is one question about the program, answered once, with the command that answers it.

They run from a checkout of the repository as `python -m benchmarks.studies.NAME`, with --help, and are not
installed. The answers are in `benchmarks/results/` and in the documents.

    graphs          what does each step of the ONNX export gain?
    rounding        what does each step before int8 keep of the answers?
    map_parity      are exported files' heat maps those of the Keras model?
    rejection       which images does `ood_score` reject?
    training        how much faster is `xray-train` than plain Keras?
    reduced         what does decoding JPEGs at a smaller scale cost and gain?
    isolation       what does decoding in child processes cost?
    pipeline        how near is the folder command to its parts, decoding and inference?
    heatmap         what do heat maps cost?
    memory          does the command's memory grow with the number of images?
    startup         what does the command cost before its first row?
    shards.engines  is Ray as fast as the local engine, with the same rows?
    shards.kills    are rows lost when processes are killed?
    shards.objects  what does listing many objects of an S3 cost?
    shards.growth   what would millions of images on many workers take?
    walks           how many of the program's own files does one image pass through?
    viewer          is the window of `xray-view` smooth under a load?
"""
