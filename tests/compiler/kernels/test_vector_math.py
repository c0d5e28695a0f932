import numpy as np
import pytest

from assay.compiler.kernels import vector_math
from assay.compiler.kernels.activations import UNARY
from assay.compiler.kernels.builder import KernelBuilder
from tests.compiler.kernels import reference
from tests.compiler.kernels.harness import ARM, TARGETS, compile_kernel, isa, run

POINTS = 1 << 16
NEAR_ZERO = np.concatenate([-np.logspace(0, -37, POINTS // 2), np.logspace(-37, 0, POINTS // 2)])


def apply_unary(name, values, text, *constants):
    function = unary_kernel(name, values.size, isa(text).lanes(), *constants)
    return run(function, text, [values.astype(np.float32)], values.shape)


def unary_kernel(name, size, lanes, *constants):
    b = KernelBuilder()
    source, output = b.parameter("source", (size,)), b.parameter("output", (size,))
    with b.serial(size // lanes) as i:
        value = b.let(b.load(source, i * lanes, lanes))
        b.store(output, i * lanes, UNARY[name].write(b, value, lanes, *constants), lanes)
    return b.function("kernel")


def ulps(actual, expected):
    spacing = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    return np.max(np.abs(actual - expected) / spacing)


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize(
    ("name", "low", "high", "bound"),
    [
        ("exp", -87.3, 88.7, 2),
        ("sigmoid", -87.3, 88.7, 4),
        ("swish", -80, 88.7, 4),
        ("tanh", -20, 20, 4),
        ("erf", -6, 6, 8),
    ],
)
def test_errors_stay_within_the_stated_ulps(text, name, low, high, bound):
    for points in (np.linspace(low, high, POINTS), NEAR_ZERO):
        points = points.astype(np.float32).astype(np.float64)
        expected = reference.ACTIVATIONS[name](points)
        assert ulps(apply_unary(name, points, text), expected) <= bound


@pytest.mark.parametrize("text", TARGETS)
def test_expm1_of_elu_keeps_small_arguments_accurate(text):
    points = -np.logspace(1.9, -37, POINTS).astype(np.float32).astype(np.float64)
    assert ulps(apply_unary("elu", points, text, 1.0), np.expm1(points)) <= 4


@pytest.mark.parametrize("text", TARGETS)
def test_beyond_float32s_range_results_saturate(text):
    points = np.repeat([-1e30, -200.0, -89.0, 89.0, 200.0, 1e30, 0.0, -0.0], isa(text).lanes())
    exp = apply_unary("exp", points, text)
    assert np.isfinite(exp).all()
    assert (exp[points < 0] < 1.3e-38).all()
    assert (exp[points > 0] > 3.3e38).all()
    assert (exp[points == 0] == 1).all()
    sigmoid = apply_unary("sigmoid", points, text)
    assert (sigmoid[points < 0] < 1e-37).all()
    assert (sigmoid[points > 0] == 1).all()
    tanh = apply_unary("tanh", points, text)
    np.testing.assert_array_equal(tanh, np.sign(points))


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("name", sorted(UNARY))
def test_every_activation_matches_its_definition(text, name):
    constants = (-0.5, 1.5) if name == "clip" else (0.3,) * UNARY[name].constants
    points = np.linspace(0.01 if name in ("sqrt", "rsqrt") else -8, 8, 1024).astype(np.float32)
    expected = reference.ACTIVATIONS[name](points.astype(np.float64), *constants)
    actual = apply_unary(name, points, text, *constants)
    np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("text", [*TARGETS, ARM])
@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "rsqrt", "elu"])
def test_no_maths_library_is_called(text, name):
    constants = (1.0,) * UNARY[name].constants
    function = unary_kernel(name, 64, isa(text).lanes(), *constants)
    assembly = compile_kernel(function, text).inspect_source("asm")
    assert not any(call in assembly for call in ("expf", "tanhf", "sqrtf", "erff", "fmaf"))


def test_the_polynomial_is_far_below_rounding():
    r = np.linspace(-np.log(2) / 2, np.log(2) / 2, 10001)
    polynomial = sum(c * r**k for k, c in enumerate(vector_math.expm1_coefficients()))
    assert np.max(np.abs((1 + r + r**2 * polynomial) / np.exp(r) - 1)) < 2e-8
