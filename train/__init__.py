"""xray_infer.train: transfer learning on chest X-rays (needs the extra `[train]`)."""
