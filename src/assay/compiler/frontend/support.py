"""Which operators of a model do not compile, and why: told from its facts, without TVM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten

from assay.compiler.frontend.known import is_quantized, known_tensors
from assay.compiler.frontend.operators import NO_BOOLEANS, OPERATORS, Entry, Scheme
from assay.errors import UnsupportedOperatorError
from assay.model.facts import Model, Operator, Tensor
from assay.model.source import shown

_INTEGERS = frozenset({"int32", "int64", "bool"})
_LISTED = 8  # operators that an error names before it counts the rest
_WIDTH = 200  # characters that an error spends on one


_WAYS = {
    "tflite": "run the file on LiteRT, or export it as FP32 or full-integer INT8 with built-in "
    "operators only",
    "onnx": "run the file on ONNX Runtime, or export it with operators of docs/operators.md only",
}


@dataclass(frozen=True)
class Unsupported:
    """An operator that does not compile: its index in the file, its name, and the reason."""

    index: int
    name: str
    why: str


def unsupported(model: Model) -> list[Unsupported]:
    """Return all operators of the graph that do not compile, in order."""
    known = known_tensors(model)
    return [
        Unsupported(operator.index, operator.name, why)
        for operator in model.operators
        if (why := _reason(operator, model, known))
    ]


def refusal(model: Model, found: Sequence[Unsupported]) -> UnsupportedOperatorError:
    """Build the error that names each operator, and what to do about it."""
    listed = "; ".join(
        shorten(f"{each.name} at operator {each.index}: {each.why}", _WIDTH, placeholder=" ...")
        for each in found[:_LISTED]
    )
    if len(found) > _LISTED:
        listed += f"; and {len(found) - _LISTED} more"
    first = next((op for op in model.operators if op.index == found[0].index), None)
    before = [] if first is None else _activations(first, model)
    way_round = f"compile the part before them with outputs {', '.join(before)}, " if before else ""
    return UnsupportedOperatorError(
        f"{shown(model.path)}: {len(found)} operator(s) cannot be compiled ({listed}); {way_round}"
        + _WAYS[model.format]
    )


def reason_of(error: Exception) -> str:
    """Return what an exception says, in one line: TVM's end with it, after program text."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("#")]
    return shorten(said[-1], _WIDTH, placeholder=" ...") if said else type(error).__name__


def _activations(operator: Operator, model: Model) -> list[str]:
    """Return the names of what an operator reads that other operators have computed."""
    computed = {index for op in model.operators for index in op.outputs}
    known = known_tensors(model)
    return [
        repr(model.tensors[index].name)
        for index in dict.fromkeys(operator.inputs)
        if index in computed and index not in known
    ]


def _reason(operator: Operator, model: Model, known: frozenset[int]) -> str:
    """Return why an operator does not compile, an empty string if it does."""
    if known.issuperset(operator.outputs):
        return ""
    entry = OPERATORS.get(operator.name)
    if entry is None:
        custom = operator.name.startswith("CUSTOM:")
        return "a custom operator" if custom else "not known to assay"
    ends = (*operator.inputs, *operator.outputs)
    tensors = [model.tensors[index] for index in ends if index >= 0]
    stateful = next((tensor for tensor in tensors if tensor.is_variable), None)
    if stateful is not None:
        return f"it keeps {stateful.name!r} from one run to the next"
    for position, what in entry.known.items():
        index = operator.inputs[position] if position < len(operator.inputs) else -1
        if index >= 0 and index not in known:
            return f"its {what} is computed at run time"
    scheme = scheme_of(operator, entry, model.tensors)
    if scheme not in entry.schemes:
        return f"its type {scheme} is none of {', '.join(entry.schemes)}"
    operands = (model.tensors[index] for index in operator.inputs if index >= 0)
    if operator.name in NO_BOOLEANS and any(tensor.dtype == "bool" for tensor in operands):
        return "it takes no booleans"
    return ""


def scheme_of(operator: Operator, entry: Entry, tensors: Sequence[Tensor]) -> Scheme | str:
    """Return the scheme that an operator computes in, or a type that is none."""
    operands = operator.outputs[:1] if entry.data < 0 else operator.inputs[entry.data :][:1]
    if not operands or operands[0] < 0:
        return "of a missing operand"
    data, output = tensors[operands[0]], tensors[operator.outputs[0]]
    if data.dtype in ("int8", "uint8", "int16"):
        if not is_quantized(data) and not entry.moves:
            return f"{data.dtype} without a scale"
        # A table of quantized rows gives rows in float32; DEQUANTIZE does nothing else.
        looked_up = data.is_constant and output.dtype == "float32"
        return "dynamic-range" if looked_up else data.dtype
    if data.dtype == "float32":
        others = (tensors[index] for index in operator.inputs if index >= 0)
        widened = entry.data >= 0 and any(is_quantized(tensor) for tensor in others)
        return "dynamic-range" if widened else "fp32"
    return "integer" if data.dtype in _INTEGERS else data.dtype
