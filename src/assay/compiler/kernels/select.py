"""Which generator solves a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from assay.compiler.kernels import dense, depthwise, direct, pointwise
from assay.compiler.kernels.problem import Conv2d, Dense
from assay.compiler.target import Isa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Problem = Conv2d | Dense


class Generator(Protocol):
    """What the modules of generators have in common."""

    __name__: str

    def applicable(self, problem: Any) -> bool:
        """Tell whether the generator can solve the problem."""

    def pack(self, problem: Any, isa: Isa, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weights in the order in which the kernel reads them."""

    def generate(self, problem: Any, isa: Isa, name: str, parallel: int = 1) -> Any:
        """Return the kernel."""


_CONVOLUTIONS: tuple[Generator, ...] = (pointwise, depthwise, direct)


def generator_for(problem: Problem) -> Generator | None:
    """Return the best generator that can solve the problem, None if there is none."""
    choices: tuple[Generator, ...] = (dense,) if isinstance(problem, Dense) else _CONVOLUTIONS
    return next((choice for choice in choices if choice.applicable(problem)), None)
