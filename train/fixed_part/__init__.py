"""The part of a network below the freeze boundary: cut off, run once on a fast runtime, its output kept."""
