"""`python -m xray_infer.viewer` is `xray-view`."""

from xray_infer.viewer.cli import main

main(prog_name="xray-view")
