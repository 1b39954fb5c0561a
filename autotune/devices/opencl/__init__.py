"""OpenCL for TVM packages that were built without it."""
