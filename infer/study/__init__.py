"""What training, export and benchmarks share: labelled data sets, figures of answers, their document."""
