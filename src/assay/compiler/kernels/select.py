"""Which generator solves a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from assay.compiler.kernels import dense, depthwise, direct, pointwise, winograd
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


def generator_for(problem: Problem, isa: Isa, aggressive: bool = False) -> Generator | None:
    """Return the best generator that can solve the problem, None if there is none.

    ``aggressive`` allows algorithms that change the last bits of the result.
    """
    if isinstance(problem, Dense):
        return dense
    if aggressive and winograd.applicable(problem) and winograd.worthwhile(problem, isa):
        return winograd
    choices: tuple[Generator, ...] = _CONVOLUTIONS
    return next((choice for choice in choices if choice.applicable(problem)), None)
