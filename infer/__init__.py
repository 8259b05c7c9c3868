"""xray_infer: chest X-ray classification from a quantised model, without TensorFlow.

Research use only. Not a medical device; not for diagnosis.

Importing this package loads neither an inference runtime nor TensorFlow.
"""

__version__ = "0.1.0"
