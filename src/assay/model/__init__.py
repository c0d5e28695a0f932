"""Facts of a model file. Nothing here imports another room of assay, nor TVM."""
