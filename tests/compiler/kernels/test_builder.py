import numpy as np
import pytest

from assay.compiler.kernels.builder import KernelBuilder, broadcast, constant, minimum, within
from tests.compiler.kernels.harness import TARGETS, run


def test_parameters_keep_the_callers_shape_and_are_flat_inside():
    b = KernelBuilder()
    source, output = b.parameter("source", (2, 3, 4)), b.parameter("output", (24,))
    with b.serial(3) as i:
        b.store(output, i * 8, b.load(source, i * 8, 8), 8)
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(run(b.function("kernel"), "native", [x], (24,)), x.reshape(-1))


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
def test_a_register_tile_sums_products_of_any_width(text, lanes):
    b = KernelBuilder()
    scalars, vectors = b.parameter("scalars", (5, 2)), b.parameter("vectors", (5, lanes))
    output = b.parameter("output", (2, lanes))
    tile = b.registers(2, [lanes])
    tile.fill([constant(1.0, lanes)])
    with b.serial(5, carry=tile) as k:
        vector = b.let(b.load(vectors, k * lanes, lanes))
        for row in range(2):
            tile.add_product(row, 0, broadcast(b.load(scalars, k * 2 + row), lanes), vector)
    for row in range(2):
        b.store(output, row * lanes, tile.get(row, 0), lanes)
    rng = np.random.default_rng(0)
    s, v = rng.random((5, 2), np.float32), rng.random((5, lanes), np.float32)
    np.testing.assert_allclose(
        run(b.function("kernel"), text, [s, v], (2, lanes)), 1 + s.T @ v, rtol=1e-6
    )


def test_a_loop_of_one_turn_is_no_loop_and_conditions_on_ints_are_decided_at_once():
    b = KernelBuilder()
    output = b.parameter("output", (1,))
    with b.serial(1) as i, b.parallel(1) as j:
        assert (i, j) == (0, 0)
        with b.when(within(i, 0, 1)):
            b.store(output, i, constant(2.0))
        with b.when(within(i, 1, 2)):
            b.store(output, i, constant(3.0))
    function = b.function("kernel")
    assert "for" not in function.script()
    assert "if" not in function.script()
    assert run(function, "native", [], (1,)) == 2.0


def test_a_loop_of_no_turns_vanishes():
    b = KernelBuilder()
    output = b.parameter("output", (1,))
    b.store(output, 0, constant(2.0))
    with b.serial(0) as i:
        b.store(output, i, constant(3.0))
    assert run(b.function("kernel"), "native", [], (1,)) == 2.0


def test_conditions_and_extents_may_depend_on_loops():
    b = KernelBuilder()
    output = b.parameter("output", (10,))
    with b.serial(4) as block, b.serial(minimum(3, 10 - block * 3)) as i:
        index = b.let(block * 3 + i)
        with b.when(within(index, 2, 5)):
            b.store(output, index, constant(1.0))
        with b.when(index >= 5):
            b.store(output, index, constant(2.0))
        with b.when(index < 2):
            b.store(output, index, constant(0.0))
    expected = [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
    assert run(b.function("kernel"), "native", [], (10,)).tolist() == expected


def test_a_workspace_holds_values_between_loops():
    b = KernelBuilder()
    source, output = b.parameter("source", (64,)), b.parameter("output", (64,))
    space = b.workspace("space", 64)
    with b.serial(64) as i:
        b.store(space, 63 - i, b.load(source, i))
    with b.serial(64) as i:
        b.store(output, i, b.load(space, i))
    x = np.arange(64, dtype=np.float32)
    np.testing.assert_array_equal(run(b.function("kernel"), "native", [x], (64,)), x[::-1])


@pytest.mark.parametrize("threads", [2, 7])
def test_turns_of_a_parallel_loop_all_happen(threads):
    b = KernelBuilder()
    output = b.parameter("output", (threads,))
    with b.parallel(threads) as i:
        b.store(output, i, constant(1.0))
    assert run(b.function("kernel"), "native", [], (threads,)).sum() == threads
