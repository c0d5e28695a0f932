"""What all generators of kernels have in common."""

from __future__ import annotations

from typing import Any, Protocol

from assay.compiler.target import Isa


class Generator(Protocol):
    """What the modules of generators have in common.

    Those of problems with constants also have ``pack(problem, isa, *constants)``, which returns
    them in the order in which the kernel reads them.
    """

    __name__: str

    def applicable(self, problem: Any) -> bool:
        """Tell whether the generator can solve the problem."""

    def generate(self, problem: Any, isa: Isa, name: str, parallel: int = 1) -> Any:
        """Return the kernel."""
