"""Latency, throughput, stages and whole commands of every row, in MLPerf's scenarios and fresh processes."""
