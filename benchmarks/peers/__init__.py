"""Other people's ways to classify a folder, one small script each, and how they are compared with xray-infer.

The scripts are in torch_scripts and runtime_scripts, each with a table of them, and run as
`python -m xray_infer.benchmarks.peers.MODULE NAME MODEL FOLDER OUT.csv`; see `answer_file`.
"""
