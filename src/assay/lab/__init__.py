"""The experiments: which, how they run, what they found; and the classes of the lab's lessons."""

from assay.lab.testers import ModelTester, TFLiteFP32Model, TFLiteINT8Model
from assay.lab.tvm_model import TVMModel

__all__ = ["ModelTester", "TFLiteFP32Model", "TFLiteINT8Model", "TVMModel"]
