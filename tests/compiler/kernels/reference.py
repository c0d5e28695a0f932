"""Float64 NumPy references, written from the definitions and unrelated to the kernels."""

import numpy as np
from scipy.special import erf


def conv2d(p, x, weights, gate=None):
    """Convolution as ``problem.Conv2d`` defines it, without the epilogue."""
    x = x.astype(np.float64)
    weights = weights.astype(np.float64)
    if gate is not None:
        x = x * gate.astype(np.float64)
    x = x.reshape(*x.shape[:3], p.groups, -1)
    weights = weights.reshape(*weights.shape[:3], p.groups, -1)
    out = np.zeros((p.batch, p.out_h, p.out_w, p.groups, p.out_c // p.groups))
    for y, i in np.ndindex(p.out_h, p.kernel_h):
        row = y * p.stride_h + i * p.dilation_h - p.pad_top
        if not 0 <= row < p.in_h:
            continue
        for z, j in np.ndindex(p.out_w, p.kernel_w):
            column = z * p.stride_w + j * p.dilation_w - p.pad_left
            if 0 <= column < p.in_w:
                out[:, y, z] += np.einsum("bgi,igo->bgo", x[:, row, column], weights[i, j])
    return out.reshape(p.output_shape)


ACTIVATIONS = {
    "relu": lambda v: np.maximum(v, 0),
    "clip": np.clip,
    "leaky_relu": lambda v, slope: np.where(v > 0, v, slope * v),
    "elu": lambda v, scale: np.where(v > 0, v, scale * np.expm1(v)),
    "hard_sigmoid": lambda v: np.clip(v + 3, 0, 6) / 6,
    "hard_swish": lambda v: v * np.clip(v + 3, 0, 6) / 6,
    "erf": erf,
    "gelu": lambda v: v / 2 * (1 + erf(v / np.sqrt(2))),
    "gelu_tanh": lambda v: v / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3))),
    "exp": np.exp,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "swish": lambda v: v / (1 + np.exp(-v)),
    "tanh": np.tanh,
    "negative": np.negative,
    "abs": np.abs,
    "square": np.square,
    "sqrt": np.sqrt,
    "rsqrt": lambda v: 1 / np.sqrt(v),
}

BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "prelu": lambda left, right: np.where(left > 0, left, right * left),
    "subtract_from": lambda left, right: right - left,
    "divide_into": lambda left, right: right / left,
}


def epilogue(steps, value, operands):
    operands = iter(operands)
    for step in steps:
        if step.op in ACTIVATIONS:
            value = ACTIVATIONS[step.op](value, *step.constants)
        else:
            right = next(operands).astype(np.float64) if step.operand else step.constants[0]
            value = BINARY[step.op](value, right)
    return value
