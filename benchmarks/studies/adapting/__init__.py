"""What a few labels of a hospital that a model has not seen are worth: curves of `xray-train adapt`."""
