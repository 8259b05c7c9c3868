"""`python -m xray_infer` is `xray-infer`."""

from xray_infer.cli import entry

entry()
