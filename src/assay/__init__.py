"""assay: TFLite models on CPUs, compiled with Apache TVM, compared and explained."""
