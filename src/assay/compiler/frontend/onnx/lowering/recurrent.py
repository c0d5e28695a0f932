"""LSTM, GRU and RNN, unrolled: one product with the weights of all steps' inputs, then each step.

Names are those of the specification: X [steps, batch, inputs], W [directions, gates * hidden,
inputs], R [directions, gates * hidden, hidden], B [directions, 2 * gates * hidden].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from assay.compiler.frontend.onnx.lowering.site import Site

MAX_STEPS = 512
"""Of all directions together: each becomes kernels of its own, and takes time to compile."""

_ACTIVATIONS = ("Sigmoid", "Tanh", "Relu")
_X, _W, _R, _B, _LENGTHS, _STATE, _CELL, _PEEPHOLES = range(8)

_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


@dataclass(frozen=True)
class _Direction:
    """One direction of a node: weights are [inputs or hidden, gates * hidden], biases [1, ...]."""

    site: Site
    w: str
    r: str
    input_bias: str
    state_bias: str
    activations: tuple[str, ...]
    hidden: int

    def gate(self, sums: str, at: int, until: int | None = None) -> str:
        """Return the columns of a gate, or of several, of [batch, gates * hidden]."""
        end = at + 1 if until is None else until
        return self.site.part(sums, 1, at * self.hidden, end * self.hidden)

    def activate(self, index: int, x: str) -> str:
        return self.site.add(self.activations[index], x)


State = tuple[str, ...]
Step = Callable[[_Direction, str, State], State]
"""From what a step's input brings [batch, gates * hidden] and the state to the next state.

The state is H, for LSTM also C, each [batch, hidden]; the biases of the inputs are in already."""


def _lstm_step(of: _Direction, brought: str, state: State) -> State:
    site, (h, c) = of.site, state
    sums = site.add("Add", site.add("MatMul", h, of.r), brought)
    gates = of.activate(0, of.gate(sums, 0, 3))  # input, output and forget gate alike
    i, o, f = (of.gate(gates, at) for at in range(3))
    fresh = site.add("Mul", i, of.activate(1, of.gate(sums, 3)))
    c = site.add("Add", site.add("Mul", f, c), fresh)
    return site.add("Mul", o, of.activate(2, c)), c


def _gru_step(of: _Direction, brought: str, state: State) -> State:
    site, (h,) = of.site, state
    if site.attribute("linear_before_reset", 0):
        kept = site.add("Add", site.add("MatMul", h, of.r), of.state_bias)
        gates = of.activate(0, site.add("Add", of.gate(kept, 0, 2), of.gate(brought, 0, 2)))
        z, r = of.gate(gates, 0), of.gate(gates, 1)
        remembered = site.add("Mul", r, of.gate(kept, 2))
    else:
        kept = site.add("MatMul", h, of.gate(of.r, 0, 2))
        kept = site.add("Add", kept, of.gate(of.state_bias, 0, 2))
        gates = of.activate(0, site.add("Add", kept, of.gate(brought, 0, 2)))
        z, r = of.gate(gates, 0), of.gate(gates, 1)
        remembered = site.add("MatMul", site.add("Mul", r, h), of.gate(of.r, 2))
        remembered = site.add("Add", remembered, of.gate(of.state_bias, 2))
    fresh = of.activate(1, site.add("Add", remembered, of.gate(brought, 2)))
    moved = site.add("Mul", z, site.add("Sub", h, fresh))  # (1 - z) * fresh + z * h
    return (site.add("Add", fresh, moved),)


def _rnn_step(of: _Direction, brought: str, state: State) -> State:
    site, (h,) = of.site, state
    return (of.activate(0, site.add("Add", site.add("MatMul", h, of.r), brought)),)


_STEPS: dict[str, Step] = {"LSTM": _lstm_step, "GRU": _gru_step, "RNN": _rnn_step}


def _unroll(site: Site) -> None:
    """Add all steps of all directions, and join what they make: Y, Y_h and, of an LSTM, Y_c."""
    steps, batch, _ = site.static(site.operand(_X))
    reverse = _reversed(site)
    made = [_run(site, at, backwards) for at, backwards in enumerate(reverse)]
    hidden = site.static(site.operand(_R))[2]
    if site.result(0):
        shape = site.ints(steps, 1, batch, hidden)
        whole = [
            site.add("Reshape", site.add("Concat", *sequence, axis=0), shape)
            for sequence, _ in made
        ]
        site.add("Concat", *whole, into=site.result(0), axis=1)
    for position in (1, 2):
        if site.result(position):
            last = [state[position - 1] for _, state in made]
            rows = site.add("Concat", *last, axis=0)
            shape = site.ints(len(last), batch, hidden)
            site.add("Reshape", rows, shape, into=site.result(position))


def _run(site: Site, at: int, backwards: bool) -> tuple[list[str], State]:
    """Add the steps of a direction; return H after each, in the order of X, and the last state."""
    x = site.operand(_X)
    steps, batch, width = site.static(x)
    of = _direction(site, at)
    rows = site.add("Reshape", x, site.ints(steps * batch, width))
    brought = site.add("Add", site.add("MatMul", rows, of.w), of.input_bias)
    state: State = tuple(
        _initial(site, position, at, batch, of.hidden)
        for position in ((_STATE, _CELL) if site.node.op_type == "LSTM" else (_STATE,))
    )
    made: dict[int, str] = {}
    for step in range(steps)[:: -1 if backwards else 1]:
        here = site.part(brought, 0, step * batch, (step + 1) * batch)
        state = _STEPS[site.node.op_type](of, here, state)
        made[step] = state[0]
    return [made[step] for step in range(steps)], state


def _direction(site: Site, at: int) -> _Direction:
    _, rows, hidden = site.static(site.operand(_R))
    w, r = (
        site.add("Transpose", _one(site, site.operand(position), at), perm=[1, 0])
        for position in (_W, _R)
    )
    count = len(_DEFAULTS[site.node.op_type])
    if site.operand(_B):
        both = site.part(site.operand(_B), 0, at, at + 1)
        of_input, of_state = (site.part(both, 1, start, start + rows) for start in (0, rows))
    else:
        of_input = of_state = site.like(site.operand(_X), np.zeros((1, rows)))
    if site.node.op_type != "GRU":
        of_input = site.add("Add", of_input, of_state)  # nothing comes between the two
    chosen = _activations(site)[at * count : (at + 1) * count]
    return _Direction(site, w, r, of_input, of_state, tuple(chosen), hidden)


def _one(site: Site, tensor: str, at: int) -> str:
    """Return a direction of [directions, rows, columns]."""
    rows, columns = site.static(tensor)[1:]
    return site.add("Reshape", site.part(tensor, 0, at, at + 1), site.ints(rows, columns))


def _initial(site: Site, position: int, at: int, batch: int, hidden: int) -> str:
    given = site.operand(position)
    if given:
        return _one(site, given, at)
    return site.like(site.operand(_X), np.zeros((batch, hidden)))


def _reversed(site: Site) -> list[bool]:
    """Tell of each direction whether it starts at the end."""
    named = site.attribute("direction", b"forward")
    return {b"forward": [False], b"reverse": [True]}.get(named, [False, True])


def _activations(site: Site) -> Sequence[str]:
    given = site.attribute("activations", None)
    if given is None:
        return _DEFAULTS[site.node.op_type] * len(_reversed(site))
    return [each.decode().capitalize() for each in given]


def _obstacle(site: Site) -> str:
    shapes = [site.shape(site.operand(position)) for position in (_X, _W, _R)]
    if any(shape is None for shape in shapes):
        return "how many steps it takes is not known"
    steps = site.static(site.operand(_X))[0] * len(_reversed(site))
    if steps > MAX_STEPS:
        return f"its {steps} steps would each become kernels of their own, more than {MAX_STEPS}"
    unknown = sorted(set(_activations(site)) - set(_ACTIVATIONS))
    if unknown:
        return f"no kernel has its activation {unknown[0]}"
    lengths = site.value(site.operand(_LENGTHS)) if site.operand(_LENGTHS) else None
    if site.operand(_LENGTHS) and (
        lengths is None or (lengths != site.static(site.operand(_X))[0]).any()
    ):
        return "its sequences may be of different lengths"
    if site.operand(_PEEPHOLES):
        return "it has peepholes"
    for name, why in _REFUSED.items():
        if site.attribute(name, 0):
            return why
    return ""


_REFUSED = {
    "layout": "its layout has the batch first",
    "clip": "it clips what goes into its activations",
    "input_forget": "its input and forget gates are one",
}

LOWERED: dict[str, Callable[[Site], None]] = dict.fromkeys(_STEPS, _unroll)

OBSTACLES: dict[str, Callable[[Site], str]] = dict.fromkeys(_STEPS, _obstacle)
