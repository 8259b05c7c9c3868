"""`python -m xray_infer.train` is `xray-train`."""

from xray_infer.train.cli import main

main(prog_name="xray-train")
