"""A run from a source to its results: what is kept, resumed, counted, shown and recorded."""
