"""A run whose results are shards in a folder or a store, made here or by many machines.

    plan.json               what the rows depend on (fingerprint), number of shards; never changes
    model/SHA256.onnx       the model file, for every machine
    inputs/KEY.jsonl        the inputs of a shard, one a line: see `shard_inputs`
    rows-KEY.parquet        its rows, in the order of its inputs; or .jsonl
    counts/KEY.json         the mark that it is finished: what it is made of, and what it came to
    attempts/KEY            how often a shard was begun that is not finished
    run.json                the record of the run; `finished` is true once every shard is

KEY is 00007-of-00100. An input belongs to the shard that a hash of its name says, in every run alike.

Invariants:
- An object appears whole or not at all, and never under another shard's name: a shard that is made twice,
  by a worker that was thought lost, has the same rows in the same place.
- A shard is finished when its counts are of the inputs that it has now, by name and stamp, and its rows are
  there in the size that the counts tell. Others are made anew, and so are shards with inputs that could not
  be read: the journal's rule (`xray_infer.run.journal`), a shard at a time.
- One unit of work, `work.ShardWorker`, by whatever engine: the local engine's `Engine.run` on its inputs.

One image's way: `shard_job` lists it and deals it to a shard (`shard_inputs`), puts the shard's inputs into
the store (`shard_store`) and has an engine make the shard: `work` here, `on_ray` on many machines. `merging`
makes one file of all.
"""

from __future__ import annotations

from typing import Final

LOCAL: Final = "local"
RAY: Final = "ray"
ENGINES: Final = (LOCAL, RAY)  # what makes shards: this process, or a pool of Ray's actors
FORMATS: Final = ("parquet", "jsonl")  # suffixes of `xray_infer.run.writers`
