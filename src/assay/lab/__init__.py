"""The experiments: which, how they run, what they found; and the classes of the lab's lessons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.lab.testers import ModelTester, TFLiteFP32Model, TFLiteINT8Model
    from assay.lab.tvm_model import TVMModel

__all__ = ["ModelTester", "TFLiteFP32Model", "TFLiteINT8Model", "TVMModel"]


def __getattr__(name: str) -> Any:
    """Import a class of the lessons when it is asked for: results are read without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from assay.lab import testers, tvm_model

    return getattr(tvm_model if name == "TVMModel" else testers, name)
