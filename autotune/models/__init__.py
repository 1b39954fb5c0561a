"""A network: read from an ONNX file, rewritten and lowered by TVM's Relax, cut into tuning tasks."""
