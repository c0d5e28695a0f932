"""Generators of TIR kernels, parametrised by instruction set and shape."""
