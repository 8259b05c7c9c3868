"""How faithful heat maps are to the model, beside a centre blob and random maps: `xray-bench explain`.

`measuring` makes one image's record of all methods, `records` keeps the records in a file that a stopped run
goes on from, `tables` prints them. `contenders` are methods that are measured and not offered.
"""
