"""Element-wise operators that can join the kernel which makes their input.

From an operator that has a kernel of assay's (the anchor), a chain follows the single user of each
value as long as that is a step which the kernel's epilogue can take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from assay.compiler import tvm_api
from assay.compiler.kernels.epilogue import Epilogue, Step, clip, unary

UNARY = {
    "exp": "exp",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "erf": "erf",
    "nn.gelu": "gelu",
    "nn.gelu_tanh": "gelu_tanh",
    "nn.relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "nn.silu": "swish",
    "negative": "negative",
    "abs": "abs",
    "square": "square",
}
"""Relax operators of one operand, and their names as epilogue steps."""

BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
"""Relax operators of two operands; steps have the same names."""

_REVERSED = {"subtract": "subtract_from", "divide": "divide_into"}


@dataclass(frozen=True)
class Chain:
    """The steps after an anchor: tensor operands in step order, and the variables they replace.

    ``variables`` starts with the anchor's own; the last one is what the kernel defines.
    """

    epilogue: Epilogue
    operands: tuple[Any, ...]
    variables: tuple[Any, ...]


class Graph:
    """Who makes and who uses each variable of a function with one dataflow block.

    ``taken`` are the variables that some kernel replaces already.
    """

    def __init__(self, function: Any) -> None:
        self.bindings: list[tuple[Any, Any]] = [
            (binding.var, binding.value)
            for block in function.body.blocks
            for binding in block.bindings
        ]
        self.order = {var: index for index, (var, _) in enumerate(self.bindings)}
        self.value = dict(self.bindings)
        self.taken: set[Any] = set()
        self.users: dict[Any, list[Any]] = {}
        for var, value in self.bindings:
            for argument in arguments(value):
                self.users.setdefault(argument, []).append(var)
        # The function's own result counts as a user: it has to stay a variable.
        self.users.setdefault(function.body.body, []).append(None)

    def calls(self, var: Any) -> str:
        """Return the operator's name that defines the variable, '' if none does."""
        value = self.value.get(var)
        return tvm_api.op_name(value) if hasattr(value, "op") else ""

    def only_user(self, var: Any) -> Any:
        """Return the only variable that uses this one; None if more do, or it is a result."""
        users = self.users.get(var, [])
        return users[0] if len(users) == 1 else None


def arguments(value: Any) -> Iterator[Any]:
    """Return the expressions that a binding's value is made of, those in tuples included."""
    if hasattr(value, "args"):
        for argument in value.args:
            yield from arguments(argument)
    elif hasattr(value, "fields"):
        for item in value.fields:
            yield from arguments(item)
    else:
        yield value


def chain_after(graph: Graph, anchor: Any, channel_axis: int | None = -1) -> Chain:
    """Return the longest chain of epilogue steps after the anchor, up to what is taken already.

    ``channel_axis`` is the one that operands per channel spread along. If it is None, operands may
    spread in any way, whatever kind their steps say they are.
    """
    steps: list[Step] = []
    operands: list[Any] = []
    variables = [anchor]
    while True:
        found = _next(graph, variables[-1], channel_axis)
        if found is None or graph.taken.intersection(found[2]):
            return Chain(Epilogue(tuple(steps)), tuple(operands), tuple(variables))
        step, operand, covered = found
        steps.append(step)
        if step.operand is not None:
            operands.append(operand)
        variables += covered


Found = tuple[Step, Any, list[Any]]


def _next(graph: Graph, var: Any, channel_axis: int | None = -1) -> Found | None:
    """Return the step that follows, its operand if any, and the variables it defines."""
    users = graph.users.get(var, [])
    if len(users) == 2 and None not in users:
        curve = _swish(graph, var, users) or _hard_swish(graph, var, users)
        return curve or _prelu(graph, users, channel_axis)
    if len(users) != 1 or users[0] is None:
        return None
    return _step(graph, var, users[0], channel_axis)


def step_to(graph: Graph, var: Any, user: Any) -> Found | None:
    """Return the step on ``var`` that ``user`` is or begins, whoever else uses ``var``."""
    users = graph.users.get(var, [])
    found = _next(graph, var) if len(users) == 2 and None not in users else None
    return found if found and user in found[2] else _step(graph, var, user)


def _step(graph: Graph, var: Any, user: Any, channel_axis: int | None = -1) -> Found | None:
    call = graph.value[user]
    name = graph.calls(user)
    if name in UNARY:
        return unary(UNARY[name]), None, [user]
    if name == "nn.leakyrelu":
        return unary("leaky_relu", float(call.attrs.alpha)), None, [user]
    if name == "clip":
        low, high = (float(tvm_api.scalar(limit)) for limit in call.args[1:3])
        return clip(low, high), None, [user]
    return _binary(graph, var, user, channel_axis) if name in BINARY else None


def _binary(graph: Graph, var: Any, user: Any, channel_axis: int | None) -> Found | None:
    call = graph.value[user]
    name = graph.calls(user)
    left, right = call.args
    on_left = left.same_as(var)
    other = right if on_left else left
    shape = tvm_api.static_shape(var)
    if tvm_api.static_shape(user) != shape or str(other.ty.dtype) != "float32":
        return None
    op = name if on_left else _REVERSED.get(name, name)
    constant = tvm_api.constant_value(other)
    if constant is not None and constant.size == 1:
        return Step(op, constants=(float(constant.reshape(())),)), None, [user]
    kind = _operand_kind(tvm_api.static_shape(other), shape, channel_axis, constant is not None)
    return None if kind is None else (Step(op, kind), other, [user])


def _operand_kind(
    shape: tuple[int, ...], output: tuple[int, ...], channel_axis: int | None, constant: bool
) -> Any:
    """Return how an operand of that shape spreads over the output, None if not as steps can.

    Of a single pixel, a constant is one per channel, from which sums may start; others are tensors,
    which results may replace.
    """
    if channel_axis is None or (shape == output and not constant):
        return "tensor"
    axis = channel_axis % max(1, len(output))
    padded = (1,) * (len(output) - len(shape)) + shape
    if padded == tuple(n if i == axis else 1 for i, n in enumerate(output)):
        return "channel"
    if shape == output:
        return "tensor"
    per_batch = tuple(n if i in (0, axis) else 1 for i, n in enumerate(output))
    return "batch_channel" if shape == per_batch else None


def _swish(graph: Graph, var: Any, users: list[Any]) -> Found | None:
    """Match ``v * sigmoid(v)``."""
    for curve, product in (users, users[::-1]):
        joins = graph.calls(product) == "multiply" and graph.users.get(curve) == [product]
        if joins and graph.calls(curve) == "sigmoid":
            return unary("swish"), None, [curve, product]
    return None


def _hard_swish(graph: Graph, var: Any, users: list[Any]) -> Found | None:
    """Match ``v * clip(v + 3, 0, 6) / 6``."""
    for shifted, product in (users, users[::-1]):
        if not _is_constant_step(graph, shifted, "add", 3.0):
            continue
        limited = graph.only_user(shifted)
        if graph.calls(limited) != "clip" or graph.only_user(limited) is not product:
            continue
        limits = [float(tvm_api.scalar(x)) for x in graph.value[limited].args[1:3]]
        scaled = graph.only_user(product)
        if limits != [0.0, 6.0] or graph.calls(product) != "multiply" or scaled is None:
            continue
        if _is_constant_step(graph, scaled, "divide", 6.0):
            return unary("hard_swish"), None, [shifted, limited, product, scaled]
    return None


def _prelu(graph: Graph, users: list[Any], channel_axis: int | None) -> Found | None:
    """Match ``maximum(v, 0) + minimum(v, 0) * slope``."""
    for positive, negative in (users, users[::-1]):
        total, scaled = graph.only_user(positive), graph.only_user(negative)
        halves = _is_constant_step(graph, positive, "maximum", 0.0) and _is_constant_step(
            graph, negative, "minimum", 0.0
        )
        joins = graph.calls(total) == "add" and graph.only_user(scaled) is total
        if not halves or not joins or graph.calls(scaled) != "multiply":
            continue
        found = _binary(graph, negative, scaled, channel_axis)
        if found is not None:
            step = Step("prelu", found[0].operand, found[0].constants)
            return step, found[1], [positive, negative, scaled, total]
    return None


def _is_constant_step(graph: Graph, var: Any, op: str, value: float) -> bool:
    if graph.calls(var) != op:
        return False
    constant = tvm_api.constant_value(graph.value[var].args[1])
    return constant is not None and constant.size == 1 and float(constant.reshape(())) == value
