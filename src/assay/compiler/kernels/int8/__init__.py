"""Generators of integer TIR kernels for TFLite's 8-bit operators; docs/kernels-int8.md."""
