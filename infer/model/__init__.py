"""A model file that can answer.

`manifest` is what it says of itself, `shipped` what comes with the package, `choice` which is taken.

`runtimes` has one module for each inference runtime. Nothing here knows where images come from or rows go.
"""
