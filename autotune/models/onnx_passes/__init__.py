"""Rewrites of ONNX graphs before TVM imports them."""
