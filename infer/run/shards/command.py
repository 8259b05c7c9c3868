"""The command `xray-infer merge`."""

from __future__ import annotations

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.run.object_store import without_secrets
from xray_infer.terminal import one_line_errors, say


@click.command(
    epilog=f"{RESEARCH_NOTICE}",
    context_settings={"auto_envvar_prefix": "XRAY_INFER_MERGE", "help_option_names": ["-h", "--help"]},
)
@click.argument("shards")
@click.option("--out", required=True, metavar="FILE", help="A path or a URI: .csv, .jsonl or .parquet.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def merge_command(shards: str, out: str, debug: bool) -> None:
    """Make one file of the results in SHARDS, a folder or a URI, its rows in the order of the source."""
    with one_line_errors("xray-infer merge", debug=debug):
        from xray_infer.run.shards.merging import merge
        from xray_infer.run.shards.store import Store

        count = merge(Store(shards), out)
        say(f"results: {count:,} rows in {without_secrets(out)}")
        say(RESEARCH_NOTICE)
