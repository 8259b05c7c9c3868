"""A run that writes its results as shards to a folder or a store, on one machine or on many.

    plan.json               what the rows depend on (fingerprint) and the number of shards; never changes
    model/SHA256.onnx       the model file, for every machine
    inputs/KEY.jsonl        the inputs of a shard, one per line; see `shard_inputs`
    rows-KEY.parquet        its rows (or .jsonl), in the order of its inputs
    counts/KEY.json         marks a finished shard: a digest of its inputs, and the counts of its rows
    attempts/KEY            how often an unfinished shard was started
    run.json                the record of the run; `finished` is true once every shard is finished

KEY is, for example, 00007-of-00100. A hash of an input's name decides its shard, the same in every run.

Invariants:
- Shards appear atomically, each under its own name. When a worker that seemed lost makes a shard a second
  time, the same rows are written to the same place.
- A shard is finished when its counts match its present inputs, by name and stamp, and the file of its rows
  has the size that the counts state. Other shards are made again, and so are shards with inputs that could
  not be read: this is the rule of the journal (`xray_infer.run.journal`), applied to a shard.
- Every engine does the same unit of work, `work.ShardWorker`: it runs the local `Engine` on a shard's inputs.

The path of one image: `shard_job` lists it, assigns it to a shard (`shard_inputs`), writes the shard's inputs
to the store (`shard_store`) and lets an engine make the shard: `work` on this machine, `on_ray` on many.
`merging` makes one file of all shards.
"""

from __future__ import annotations

from typing import Final

LOCAL: Final = "local"
RAY: Final = "ray"
ENGINES: Final = (LOCAL, RAY)  # what makes shards: this process, or a pool of Ray's actors
FORMATS: Final = ("parquet", "jsonl")  # suffixes of `xray_infer.run.writers`
