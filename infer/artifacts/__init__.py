"""Files that are made beside the rows."""
