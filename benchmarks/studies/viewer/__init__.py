"""The window of `xray-view` under a load: its start, how smoothly it goes, its memory."""
