"""A run from a source to its results: what is kept, resumed, counted, shown and recorded.

One image's way: `sources` lists it as an `Item`; `file_job` asks `journal` whether its row is known; `engine`
reads it, has it prepared (`images`) and classified (`model`), and makes its row (`results`); the row goes to
the journal and to the file (`writers`). `artifact` is what else may be made of it, in the rooms above.

`job` is what every run has, `watching` a run that goes on; `progress` counts, `record` is what stands beside
the results, `settings` says what a row depends on. `shards` does the same on many machines, and
`object_store` reaches stores for sources and shards alike.
"""
