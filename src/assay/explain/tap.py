"""What each kernel of an inference writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.runtimes.tvm_library import array_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from assay.runtimes.tvm import TVMRuntime

    Array = npt.NDArray[Any]


class Tap:
    """Runs a build on TVM's virtual machine and copies the first result of each kernel call."""

    def __init__(self, runtime: TVMRuntime) -> None:
        self._calls = runtime.manifest.kernels
        self._symbols = {call.symbol for call in self._calls}
        self._outputs: list[Array] = []
        self._infer = runtime.instrumented(self._hook)

    def run(self) -> list[Array]:
        """Run one inference on the inputs that the runtime holds; return results in call order."""
        self._outputs = []
        self._infer()
        return self._outputs

    def _hook(self, _function: Any, symbol: str, before: bool, _result: Any, *args: Any) -> int:
        """Copy the result, which follows the operands among the arguments of a kernel."""
        if not before and symbol in self._symbols:
            call = self._calls[len(self._outputs)]
            self._outputs.append(array_of(args[-len(call.output_shapes)]))
        return 0
