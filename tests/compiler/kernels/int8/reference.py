"""NumPy references for the documented integer arithmetic, written from its definition."""

import numpy as np


def quantize(real, target):
    """``real`` float32, in steps of the target's scale."""
    assert real.dtype == np.float32
    limited = np.clip(
        real.astype(np.float64), target.low - target.zero_point, target.high - target.zero_point
    )
    return (np.rint(limited) + target.zero_point).astype(np.uint8)


def requantize(sums, multipliers, target):
    with np.errstate(over="ignore"):  # infinite products saturate
        real = sums.astype(np.int32).astype(np.float32) * multipliers.astype(np.float32)
    return quantize(real, target)


def centred(stored, zero_point, factor):
    return (stored.astype(np.int32) - zero_point).astype(np.float32) * np.float32(factor)


def output(problem, sums, multipliers, addend=None):
    """Store int64 sums [..., channels] as the problem says."""
    result = requantize(sums, multipliers, problem.output)
    more = problem.addition
    if more is None:
        return result
    left = centred(result, problem.output.zero_point, more.factor)
    right = centred(addend, more.other_zero_point, more.other_factor)
    return quantize(left + right, more.output)


def conv2d_sums(problem, x, weights, bias):
    """Sums of products as the definition has them, in int64."""
    p = problem.geometry
    x = x.astype(np.int64) - problem.input_zero_point
    weights = weights.astype(np.int64) - problem.weights_zero_point
    sums = np.zeros(p.output_shape, np.int64) + bias
    in_group, out_group = p.in_c // p.groups, p.out_c // p.groups
    for y in range(p.out_h):
        for i in range(p.kernel_h):
            row = y * p.stride_h + i * p.dilation_h - p.pad_top
            if not 0 <= row < p.in_h:
                continue
            for z in range(p.out_w):
                for j in range(p.kernel_w):
                    column = z * p.stride_w + j * p.dilation_w - p.pad_left
                    if not 0 <= column < p.in_w:
                        continue
                    for g in range(p.groups):
                        ins = slice(g * in_group, (g + 1) * in_group)
                        outs = slice(g * out_group, (g + 1) * out_group)
                        sums[:, y, z, outs] += x[:, row, column, ins] @ weights[i, j, :, outs]
    return sums


def dense_sums(problem, x, weights, bias):
    x = x.astype(np.int64) - problem.input_zero_point
    return x @ (weights.astype(np.int64) - problem.weights_zero_point) + bias
