"""Integer kernels for activations in NCHW: vectors run over the pixels of a plane."""
