"""The contract between assay and whatever runs a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from assay.errors import InputError
from assay.model.names import Names
from assay.model.spec import TensorSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class Runtime(Protocol):
    """A loaded model. Tensors are raw: nothing is quantized or dequantized on the way."""

    name: str
    threads: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def set_input(self, key: int | str, value: Array) -> None:
        """Copy ``value`` into the input with that index or name; InputError if it does not fit."""

    def run(self) -> None:
        """Run one inference on the inputs set before."""

    def get_output(self, key: int | str = 0) -> Array:
        """Return a copy of the output with that index or name, as of the last ``run``."""

    def __call__(self, *values: Array) -> Array | tuple[Array, ...]:
        """Set all inputs in order, run, and return the only output or the tuple of them."""

    def close(self) -> None:
        """Free the model; the object must not be used afterwards."""


class BaseRuntime(ABC):
    """What all runtimes share: checking inputs and looking tensors up by index or name."""

    name: str
    threads: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def set_input(self, key: int | str, value: Array) -> None:
        """Copy ``value`` into the input with that index or name; InputError if it does not fit."""
        index = position(self.inputs, key, "input")
        check_input(self.inputs[index], value)
        self._write(index, value)

    def get_output(self, key: int | str = 0) -> Array:
        """Return a copy of the output with that index or name, as of the last ``run``."""
        return self._read(position(self.outputs, key, "output"))

    def __call__(self, *values: Array) -> Array | tuple[Array, ...]:
        """Set all inputs in order, run, and return the only output or the tuple of them."""
        if len(values) != len(self.inputs):
            raise InputError(f"the model takes {len(self.inputs)} input(s), {len(values)} given")
        for index, value in enumerate(values):
            self.set_input(index, value)
        self.run()
        results = tuple(self._read(index) for index in range(len(self.outputs)))
        return results[0] if len(results) == 1 else results

    def close(self) -> None:  # noqa: B027 - most runtimes need nothing here
        """Free the model; the object must not be used afterwards."""

    @abstractmethod
    def run(self) -> None:
        """Run one inference on the inputs set before."""

    @abstractmethod
    def _write(self, index: int, value: Array) -> None: ...

    @abstractmethod
    def _read(self, index: int) -> Array: ...


def position(specs: tuple[TensorSpec, ...], key: int | str, kind: str) -> int:
    """Turn an index, a tensor's name or its name in a signature into an index.

    InputError names what would be right.
    """
    if isinstance(key, int):
        if not 0 <= key < len(specs):
            raise InputError(f"{kind} {key} does not exist: the model has {len(specs)}, from 0")
        return key
    # A tensor may be several outputs, and each is as good.
    seen = specs if kind == "output" else ()
    distinct = {at: spec for at, spec in enumerate(specs) if spec not in seen[:at]}
    return Names("the model", kind, distinct, numbered=False).find(key)


def check_input(spec: TensorSpec, value: Array) -> None:
    """Raise InputError unless ``value`` has exactly the shape and dtype of ``spec``."""
    shape = tuple(value.shape)
    if str(value.dtype) != spec.dtype or shape != spec.shape:
        raise InputError(
            f"input {spec.name!r} takes {spec.dtype} of shape {list(spec.shape)}, "
            f"got {value.dtype} of shape {list(shape)}"
        )
