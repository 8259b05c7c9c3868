"""How faithful heat maps are to the model, beside a centre blob and random maps: `xray-bench explain`.

`measuring` measures all methods on one image and keeps that in a file that a stopped run goes on from,
`explain_figures` works out means with intervals, `explain_tables` prints them. `candidate_methods` has
methods that are measured and not offered.
"""
