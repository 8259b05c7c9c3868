"""A head fitted to films of one's own: `xray-train adapt`, without TensorFlow."""
