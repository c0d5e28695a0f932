import numpy as np
import pytest

from assay.compiler.kernels.builder import KernelBuilder, constant
from assay.compiler.kernels.int8 import stored
from assay.compiler.kernels.int8.stored import StoredRange
from assay.compiler.kernels.int8.vectors import cast, rounded
from tests.compiler.kernels.int8 import reference
from tests.compiler.kernels.int8.harness import ARM_SDOT, AVX2, TARGETS, assembly, isa, run

HUGE = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 126.5, 127.5, -128.5, 2.0**22, -(2.0**22), 2.0**31]
HUGE += [-(2.0**31), 2.0**31 - 128, 2.0**40, -(2.0**40), 3e38, -3e38, np.inf, -np.inf, 1e-38]
HUGE += [0.49999997, 254.5]

WIDTHS = [1, 2, 4, 8, 16, 32, 64]
RANGES = [StoredRange(0), StoredRange(128, 128), StoredRange(255, 3, 250)]


def shapes(text):
    """All (vectors, lanes) that kernels may narrow together on a target."""
    lanes = [n for n in (4, 8, 16) if n <= isa(text).lanes()]
    wide = {(count, n) for count in (1, 2, 4) for n in lanes}
    return sorted(wide | {(1, 1), (1, 2)})


def in_lanes(values, text, count, lanes):
    """Reorder [rows, bytes] so that what is for byte i is in the lane that becomes byte i."""
    return values[:, list(stored.lane_order(isa(text), count, lanes))]


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("target", RANGES, ids=str)
@pytest.mark.parametrize("fit", [False, True])
def test_real_numbers_of_any_size_round_half_to_even_and_saturate(text, target, fit):
    numbers = [number for number in HUGE if not fit or -(2.0**31) <= number < 2.0**31]
    rows, all_shapes = len(numbers), shapes(text)
    values = np.resize(np.array(numbers, np.float32), (rows, 64))
    source = np.zeros((len(all_shapes), rows, 64), np.float32)
    b = KernelBuilder()
    x = b.parameter("x", source.shape)
    output = b.parameter("output", source.shape, "uint8")
    for index, (count, lanes) in enumerate(all_shapes):
        width = count * lanes
        source[index, :, :width] = in_lanes(values[:, :width], text, count, lanes)
        with b.serial(rows) as row:
            start = (row + index * rows) * 64
            reals = [b.load(x, start + i * lanes, lanes) for i in range(count)]
            value = stored.to_bytes(b, isa(text), reals, lanes, target, fit)
            b.store(output, start, value, width)
    actual = run(b.function("kernel"), text, [source], source.shape)
    expected = reference.quantize(values, target)
    for index, (count, lanes) in enumerate(all_shapes):
        width = count * lanes
        np.testing.assert_array_equal(actual[index, :, :width], expected[:, :width])


@pytest.mark.parametrize("text", TARGETS)
def test_widening_is_the_inverse_of_narrowing(text):
    all_shapes = shapes(text)
    x = np.arange(256, dtype=np.uint8).reshape(4, 64)
    b = KernelBuilder()
    source = b.parameter("source", x.shape, "uint8")
    output = b.parameter("output", (len(all_shapes), *x.shape), "int32")
    for index, (count, lanes) in enumerate(all_shapes):
        with b.serial(4) as row:
            value = b.load(source, row * 64, count * lanes)
            for i, vector in enumerate(stored.from_bytes(b, isa(text), value, count, lanes)):
                b.store(output, (row + index * 4) * 64 + i * lanes, vector, lanes)
    actual = run(b.function("kernel"), text, [x], (len(all_shapes), *x.shape), np.int32)
    for index, (count, lanes) in enumerate(all_shapes):
        width = count * lanes
        expected = in_lanes(x[:, :width], text, count, lanes)
        np.testing.assert_array_equal(actual[index, :, :width], expected)


@pytest.mark.parametrize("text", [*TARGETS, ARM_SDOT])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_has_vectors_whose_order_is_a_permutation(text, width):
    count, lanes = stored.split_lanes(isa(text), width)
    assert count * lanes == width
    assert sorted(stored.lane_order(isa(text), count, lanes)) == list(range(width))


def test_order_is_natural_where_nothing_is_packed():
    assert stored.lane_order(isa(ARM_SDOT), 4, 4) == tuple(range(16))


def test_bytes_of_a_zmm_register_quarter_by_quarter():
    wide = next((text for text in TARGETS if isa(text).vector_bits == 512), None)
    if wide is None:
        pytest.skip("needs AVX-512")
    assert stored.lane_order(isa(wide), 4, 16)[:8] == (0, 1, 2, 3, 16, 17, 18, 19)


@pytest.mark.parametrize("text", TARGETS)
def test_values_round_to_integers_without_leaving_float(text):
    target = StoredRange(10, 3, 250)
    values = np.resize(np.array(HUGE, np.float32), 24)
    b = KernelBuilder()
    source, output = b.parameter("source", (24,)), b.parameter("output", (24,))
    with b.serial(6) as i:
        b.store(
            output, i * 4, stored.nearest_real(isa(text), b.load(source, i * 4, 4), 4, target), 4
        )
    expected = reference.quantize(values, target).astype(np.float32) - 10
    np.testing.assert_array_equal(
        run(b.function("kernel"), text, [values], (24,), np.float32), expected
    )


@pytest.mark.parametrize("text", [AVX2, ARM_SDOT])
def test_rounded_products_are_not_fused_with_sums(text):
    b = KernelBuilder()
    x, y = b.parameter("x", (4,)), b.parameter("y", (4,))
    output = b.parameter("output", (4,), "int32")
    product = rounded(b.load(x, 0, 4) * constant(0.3, 4), 4)
    b.store(output, 0, cast("int32", product + b.load(y, 0, 4), 4), 4)
    code = assembly(b.function("kernel"), text)
    assert "fmadd" not in code
    assert "fmla" not in code


@pytest.mark.parametrize(("zero", "low", "high"), [(256, 0, 255), (0, 5, 4), (0, -1, 255)])
def test_ranges_are_those_of_bytes(zero, low, high):
    with pytest.raises(ValueError, match="0 to 255"):
        StoredRange(zero, low, high)
