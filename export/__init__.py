"""Export of the Keras classifier to ONNX and TFLite files with quantisation and a parity gate."""
