"""What is made beside the rows: heat maps, the page of a run, DICOM objects."""
