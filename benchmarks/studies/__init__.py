"""Questions that were asked of the program once, each with the command that answers it.

`python -m benchmarks.studies.NAME`, from a checkout of the repository: they are not installed. Their tables
are in `benchmarks/results/` and in the documents.
"""
