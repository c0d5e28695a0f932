"""assay: TFLite models on CPUs, compiled with Apache TVM, compared and explained."""

from assay.api import compile, load, read  # noqa: A004 - the field's word
from assay.compiler.config import Config
from assay.errors import AssayError
from assay.model.spec import Quantization, TensorSpec

__all__ = ["AssayError", "Config", "Quantization", "TensorSpec", "compile", "load", "read"]
