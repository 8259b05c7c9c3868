"""What `xray-bench` measured, as one versioned JSON file that keeps every sample, and how it is stored."""
