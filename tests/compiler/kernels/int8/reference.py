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
    """Sums of products as the definition has them; float64 holds them exactly."""
    p = problem.geometry
    x = x.astype(np.float64) - problem.input_zero_point
    weights = weights.astype(np.float64) - problem.weights_zero_point
    reach_h, reach_w = (p.out_h - 1) * p.stride_h + 1, (p.out_w - 1) * p.stride_w + 1
    below = max(reach_h + (p.kernel_h - 1) * p.dilation_h - p.pad_top - p.in_h, 0)
    right = max(reach_w + (p.kernel_w - 1) * p.dilation_w - p.pad_left - p.in_w, 0)
    x = np.pad(x, ((0, 0), (p.pad_top, below), (p.pad_left, right), (0, 0)))
    sums = np.zeros(p.output_shape)
    in_group, out_group = p.in_c // p.groups, p.out_c // p.groups
    for i, j in np.ndindex(p.kernel_h, p.kernel_w):
        top, left = i * p.dilation_h, j * p.dilation_w
        seen = x[:, top : top + reach_h : p.stride_h, left : left + reach_w : p.stride_w]
        if in_group == 1:
            sums += np.repeat(seen, out_group, axis=-1) * weights[i, j, 0]
            continue
        for g in range(p.groups):
            ins = slice(g * in_group, (g + 1) * in_group)
            outs = slice(g * out_group, (g + 1) * out_group)
            sums[..., outs] += seen[..., ins] @ weights[i, j, :, outs]
    return sums.astype(np.int64) + bias


def dense_sums(problem, x, weights, bias):
    x = x.astype(np.float64) - problem.input_zero_point
    return (x @ (weights.astype(np.float64) - problem.weights_zero_point)).astype(np.int64) + bias


def transposed_sums(problem, x, weights, bias):
    """Each input pixel adds its share to the outputs that it reaches."""
    p = problem.geometry
    x = (x.astype(np.float64) - problem.input_zero_point).reshape(*x.shape[:3], p.groups, -1)
    weights = weights.astype(np.float64) - problem.weights_zero_point
    weights = weights.reshape(*weights.shape[:3], p.groups, -1)
    sums = np.zeros((p.batch, p.out_h, p.out_w, p.groups, p.out_c // p.groups))
    for y, i in np.ndindex(p.in_h, p.kernel_h):
        row = y * p.stride_h + i - p.pad_top
        for z, j in np.ndindex(p.in_w, p.kernel_w):
            column = z * p.stride_w + j - p.pad_left
            if 0 <= row < p.out_h and 0 <= column < p.out_w:
                sums[:, row, column] += np.einsum("bgi,igo->bgo", x[:, y, z], weights[i, j])
    return sums.reshape(p.output_shape).astype(np.int64) + bias
