"""Which generator solves a quantized problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from assay.compiler.kernels.int8 import conv2d, dense, depthwise
from assay.compiler.kernels.int8.nchw import convolution as nchw_convolution
from assay.compiler.kernels.int8.problem import PackedWeights, QuantizedConv2d, QuantizedDense
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Generator(Protocol):
    """What the modules of generators have in common."""

    __name__: str

    def applicable(self, problem: Any) -> bool:
        """Tell whether the generator can solve the problem."""

    def pack(
        self,
        problem: Any,
        isa: Isa,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        multipliers: NDArray[np.float32],
    ) -> PackedWeights:
        """Return the constants in the order in which the kernel reads them."""

    def generate(self, problem: Any, isa: Isa, name: str, parallel: int = 1) -> Any:
        """Return the kernel."""


_CONVOLUTIONS: tuple[Generator, ...] = (nchw_convolution, depthwise, conv2d)


def int8_generator_for(problem: QuantizedConv2d | QuantizedDense) -> Generator | None:
    """Return the best generator that can solve the problem, None if there is none."""
    choices: tuple[Generator, ...] = (
        (dense,) if isinstance(problem, QuantizedDense) else _CONVOLUTIONS
    )
    return next((choice for choice in choices if choice.applicable(problem)), None)
