"""Pictures that are no frontal chest X-ray, made by a seed: what the check of `ood_score` is to reject.

Each kind is a function and one line in a table: `DRAWN` draws pictures from nothing, `ALTERED` changes real
X-rays. Gray uint8 [H, W], any size; the same seed gives the same pictures.
"""
