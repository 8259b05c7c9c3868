"""xray_infer.benchmarks: accuracy and speed of every method and format, measured side by side."""
