from __future__ import annotations

import numpy as np
import pytest

from assay.errors import InputError
from assay.model.spec import Quantization, TensorSpec
from assay.runtimes.litert import open_litert
from assay.runtimes.tensors import decode, encode
from tests.builder import GraphBuilder, per_axis, per_tensor

RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


def spec(dtype: str, quantization: Quantization | None = None, shape=(-1,)) -> TensorSpec:
    return TensorSpec("t", shape, dtype, quantization)


def litert(save, op, values, dtype, quantization):
    """Run QUANTIZE or DEQUANTIZE on LiteRT's reference kernels."""
    graph = GraphBuilder()
    given = (str(values.dtype), None) if op == "QUANTIZE" else (dtype, quantization)
    wanted = (dtype, quantization) if op == "QUANTIZE" else ("float32", None)
    graph.output(graph.op(op, [graph.input("x", values.shape, *given)], values.shape, *wanted))
    return open_litert(save(graph), reference=True)(values)


@pytest.mark.parametrize(
    ("dtype", "quantization"),
    [
        ("int8", per_tensor(0.25, 3)),
        ("int8", per_tensor(0.0173, -128)),
        ("uint8", per_tensor(0.25, 128)),
        ("uint8", per_tensor(1 / 255, 0)),
        ("int16", per_tensor(0.00173)),
        ("int16", per_tensor(0.25)),
    ],
)
def test_encode_gives_what_litert_quantizes(save, dtype, quantization):
    rng = np.random.default_rng(0)
    scale = quantization.scale[0]
    halves = (np.arange(-300, 300) + 0.5) * scale
    values = [halves, halves * 0.9999999, rng.normal(size=4000) * 100 * scale, [-1e4, 0.0, 1e4]]
    real = np.concatenate(values).astype(np.float32)
    expected = litert(save, "QUANTIZE", real, dtype, quantization)
    raw = encode(spec(dtype, quantization), real)
    assert raw.dtype == dtype
    np.testing.assert_array_equal(raw, expected)


def test_encode_per_axis_gives_what_litert_quantizes(save):
    real = (np.random.default_rng(1).normal(size=(2, 5, 3)) * 20).astype(np.float32)
    quantization = per_axis([0.25, 0.5, 0.1], axis=2)
    expected = litert(save, "QUANTIZE", real, "int8", quantization)
    np.testing.assert_array_equal(encode(spec("int8", quantization), real), expected)


@pytest.mark.parametrize(
    ("dtype", "quantization"),
    [
        ("int8", per_tensor(0.0173, 3)),
        ("uint8", per_tensor(0.3, 128)),
        ("int16", per_tensor(0.000251)),
        ("int8", per_axis([0.1, 0.3, 0.7], axis=1)),
    ],
)
def test_decode_gives_what_litert_dequantizes(save, dtype, quantization):
    low, high = RANGES[dtype]
    raw = np.random.default_rng(2).integers(low, high + 1, (400, 3)).astype(dtype)
    expected = litert(save, "DEQUANTIZE", raw, dtype, quantization)
    real = decode(spec(dtype, quantization), raw)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, expected)


def test_per_axis_zero_points_follow_their_scales():
    quantization = per_axis([0.5, 2.0], axis=0, zero_points=[1, -1])
    raw = encode(spec("int8", quantization), [[1.0, -1.0], [4.0, -4.0]])
    np.testing.assert_array_equal(raw, [[3, -1], [1, -3]])
    np.testing.assert_array_equal(
        decode(spec("int8", quantization), raw), [[1.0, -1.0], [4.0, -4.0]]
    )


def test_halves_round_away_from_zero_and_almost_halves_do_not():
    almost = np.nextafter(np.float32(0.5), np.float32(0.0))
    raw = encode(spec("int8", per_tensor(1.0)), [0.5, -0.5, 1.5, 2.5, -2.5, almost, -almost])
    np.testing.assert_array_equal(raw, [1, -1, 2, 3, -3, 0, 0])


@pytest.mark.parametrize("dtype", RANGES)
def test_infinity_is_the_end_of_the_range_and_nan_is_zero(dtype):
    zero_point = 7
    raw = encode(spec(dtype, per_tensor(1e-3, zero_point)), [np.inf, -np.inf, 3e38, -3e38, np.nan])
    low, high = RANGES[dtype]
    np.testing.assert_array_equal(raw, [high, low, high, low, zero_point])


def test_scalars_stay_scalars():
    quantized = encode(spec("uint8", per_tensor(0.5, 10), shape=()), 2.0)
    assert isinstance(quantized, np.ndarray)
    assert quantized.shape == ()
    assert quantized == 14
    assert decode(spec("uint8", per_tensor(0.5, 10), shape=()), quantized) == np.float32(2.0)
    assert encode(spec("int32", shape=()), 3).shape == ()


def test_empty_input_stays_empty():
    assert encode(spec("int8", per_tensor(1.0)), np.empty((0, 3))).shape == (0, 3)
    assert encode(spec("int64"), np.empty((0, 3))).dtype == np.int64


def test_floats_pass_and_float16_rounds():
    real = np.array([1.0, 1 / 3, np.nan, np.inf, 1e6], np.float32)
    np.testing.assert_array_equal(encode(spec("float32"), real), real)
    half = encode(spec("float16"), real)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, np.array([1.0, 1 / 3, np.nan, np.inf, np.inf], np.float16))
    np.testing.assert_array_equal(decode(spec("float16"), half), half.astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "real"),
    [
        ("int32", [-(2.0**31), 5.0]),
        ("int64", np.array([2**63 - 1, -(2**63)])),
        ("uint8", [0.0, 255.0]),
        ("bool", [0.0, 1.0]),
        ("bool", [True, False]),
    ],
)
def test_whole_numbers_are_taken_as_they_are(dtype, real):
    raw = encode(spec(dtype), real)
    assert raw.dtype == dtype
    assert raw.tolist() == np.asarray(real).astype(dtype).tolist()


@pytest.mark.parametrize(
    ("dtype", "real"),
    [
        ("int32", 0.5),
        ("int32", 2.0**31),
        ("int64", 2.0**63),
        ("uint8", -1.0),
        ("int8", np.nan),
        ("int8", np.inf),
        ("bool", 2.0),
        ("uint8", np.array(300)),
    ],
)
def test_what_an_integer_cannot_hold_is_refused(dtype, real):
    with pytest.raises(InputError, match=f"'t' is {dtype}, which cannot hold"):
        encode(spec(dtype), [1.0, real])


@pytest.mark.parametrize("shape", [(3, 2), (2,), ()])
def test_values_must_match_the_number_of_scales(shape):
    with pytest.raises(InputError, match="'t' has 3 scales along axis 1"):
        encode(spec("int8", per_axis([1.0, 2.0, 3.0], axis=1)), np.zeros(shape))


@pytest.mark.parametrize("dtype", ["string", "complex64", "bfloat16"])
def test_other_dtypes_hold_no_real_numbers(dtype):
    with pytest.raises(InputError, match=dtype):
        encode(spec(dtype), [1.0])
    with pytest.raises(InputError, match=dtype):
        decode(spec(dtype), np.zeros(1))
