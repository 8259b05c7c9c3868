"""A model file that can answer: what it says of itself (`manifest`), which ships, which is chosen, what runs it.

`runtimes` has one module for each inference runtime. Nothing here knows where images come from or rows go.
"""
