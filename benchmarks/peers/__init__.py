"""Other people's ways to classify a folder, one small script each, and how they are compared with xray-infer.

Each script is `python -m xray_infer.benchmarks.peers.NAME MODEL FOLDER OUT.csv`; see `answers`.
"""
