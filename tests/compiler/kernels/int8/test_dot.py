import numpy as np
import pytest

from assay.compiler.kernels.builder import KernelBuilder, constant
from assay.compiler.kernels.int8.dot import choose_dot, choose_wide_dot
from tests.compiler.kernels.int8.harness import (
    ALDER_LAKE,
    ARM_PLAIN,
    ARM_SDOT,
    AVX2,
    AVX512,
    AVX_VNNI,
    SSE2,
    TARGETS,
    X86,
    assembly,
    isa,
    run,
)

VNNI512 = f"{X86} -mcpu=cascadelake"


def kernel(text, dot, lanes, steps, zero_point):
    """Sum over steps of one input group times a vector of weights."""
    b = KernelBuilder()
    x = b.parameter("x", (steps * dot.taps,), "uint8")
    weights = b.parameter("weights", (steps, lanes, dot.taps), "int8")
    output = b.parameter("output", (lanes,), "int32")
    converted = b.workspace("converted", steps * dot.taps, dot.inputs)
    with b.serial(steps) as step:
        value = b.let(b.load(x, step * dot.taps, dot.taps))
        b.store(converted, step * dot.taps, dot.convert(value, dot.taps), dot.taps)
    sums = constant(0, lanes, "int32")
    for step in range(steps):
        left = dot.load_inputs(b, converted, step * dot.taps, lanes)
        right = dot.load_weights(b, weights, step * lanes * dot.taps, lanes, zero_point)
        sums = b.let(dot.add(sums, left, right, lanes))
    b.store(output, 0, sums, lanes)
    return b.function("kernel")


def widths(text):
    return [lanes for lanes in (4, 8, 16) if lanes <= isa(text).lanes()]


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("choose", [choose_dot, choose_wide_dot])
@pytest.mark.parametrize("extreme", [-128, 127, None])
def test_sums_are_exact_even_for_the_largest_products(text, choose, extreme):
    dot, steps, rng = choose(isa(text)), 3, np.random.default_rng(0)
    zero_point = 127 if dot.wide_weights else 0
    for lanes in widths(text):
        x = rng.integers(0, 256, steps * dot.taps).astype(np.uint8)
        weights = rng.integers(-128, 128, (steps, lanes, dot.taps)).astype(np.int8)
        if extreme is not None:
            x[:], weights[:] = 255, extreme
        actual = run(
            kernel(text, dot, lanes, steps, zero_point), text, [x, weights], (lanes,), np.int32
        )
        inputs = x.astype(np.int64).reshape(steps, 1, dot.taps) - dot.input_offset
        expected = (inputs * (weights.astype(np.int64) - zero_point)).sum((0, 2))
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("text", "lanes", "instruction"),
    [
        (VNNI512, 16, "vpdpbusd"),
        (VNNI512, 4, "vpdpbusd"),
        (ALDER_LAKE, 8, "{vex}\tvpdpbusd"),
        (AVX_VNNI, 4, "{vex}\tvpdpbusd"),
        (AVX512, 16, "vpmaddwd"),
        (AVX2, 8, "vpmaddwd"),
        (SSE2, 4, "pmaddwd"),
        (ARM_SDOT, 4, "sdot"),
        (ARM_PLAIN, 4, "smlal"),
    ],
)
def test_each_instruction_set_uses_its_own_instruction(text, lanes, instruction):
    code = assembly(kernel(text, choose_dot(isa(text)), lanes, 2, 0), text)
    assert f"\t{instruction}\t" in code
    assert "pmaddubs" not in code


def test_other_architectures_multiply_and_add():
    assert choose_dot(isa("llvm -mtriple=riscv64-linux-gnu")).taps == 1
