"""One-operator cases, at least one for each entry of the table of operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.builder import per_tensor
from tests.compiler.frontend.one_operator import Bias, Case, Data, Float, Index, Real, Weights

_RNG = np.random.default_rng(7)
_I = np.int32
_REAL = "fp32 int8 uint8 int16"
_ANY = f"{_REAL} integer"
_BITWISE = ("BITWISE_XOR", "RIGHT_SHIFT")


def _random(*shape: int) -> np.ndarray:
    return _RNG.uniform(-1, 1, shape)


def _products() -> list[Case]:
    x = Data((1, 7, 6, 4))
    every = f"{_REAL} dynamic-range"
    conv = Weights(_random(8, 3, 3, 4))
    depth = Weights(_random(1, 3, 3, 8), axis=3)
    bias = Bias(_random(8))
    return [
        Case("CONV_2D", (x, conv, bias), every, {"stride_h": 2, "activation": "RELU6"}),
        Case("CONV_2D", (x, conv, bias), "fp32 int8", {"dilation_h": 2, "dilation_w": 2}),
        Case("CONV_2D", (x, conv, bias), "fp32 int8", {"padding": "VALID"}),
        Case("CONV_2D", (x, Weights(_random(8, 1, 1, 4), axis=None), bias), "int8 dynamic-range"),
        Case("DEPTHWISE_CONV_2D", (x, depth, bias), every, {"depth_multiplier": 2, "stride_w": 2}),
        Case(
            "DEPTHWISE_CONV_2D",
            (Data((1, 5, 5, 1)), Weights(_random(1, 3, 3, 8), axis=3), bias),
            "fp32 int8 dynamic-range",
            {"depth_multiplier": 8},
            note="one channel",
        ),
        Case("FULLY_CONNECTED", (Data((3, 16)), Weights(_random(8, 16), None), bias), every),
        Case(
            "FULLY_CONNECTED", (Data((3, 16)), Weights(_random(8, 16)), bias), "int8 dynamic-range"
        ),
        Case("FULLY_CONNECTED", (Data((3, 2, 2, 8)), Weights(_random(8, 16), None), None), every),
        Case(
            "FULLY_CONNECTED",
            (Data((3, 2, 16)), Weights(_random(8, 16), None), bias),
            every,
            {"keep_num_dims": True, "activation": "RELU"},
        ),
        Case("BATCH_MATMUL", (Data((2, 3, 4)), Data((2, 4, 5))), "fp32 int8 int16"),
        Case("BATCH_MATMUL", (Data((2, 3, 4)), Data((5, 4))), "fp32 int8", {"adj_y": True}),
        Case("BATCH_MATMUL", (Data((2, 3, 4, 3)), Data((3, 4, 5))), "fp32", {"adj_x": True}),
        Case(
            "BATCH_MATMUL",
            (Data((2, 3, 4)), Weights(_random(2, 4, 5), None)),
            "fp32 dynamic-range",
        ),
        Case(
            "CONV_3D",
            (Data((1, 4, 5, 6, 2)), Weights(_random(2, 2, 3, 2, 3)), Bias(_random(3))),
            options={"stride_d": 2},
        ),
        *(
            Case(
                "TRANSPOSE_CONV",
                (_I([1, *size, 5]), Weights(_random(5, *window, 4)), Data((1, 4, 3, 4)), bias5),
                schemes,
                {"stride_h": 2, "stride_w": 2, "padding": padding},
                note=f"{size} {window} {padding}",
            )
            for size, window, padding, schemes, bias5 in [
                ((8, 6), (3, 3), "SAME", "fp32 int8 int16 dynamic-range", Bias(_random(5))),
                ((7, 5), (3, 3), "SAME", "fp32", None),
                ((8, 6), (2, 2), "SAME", "fp32", None),
                ((8, 6), (1, 1), "SAME", "fp32", None),
                ((9, 7), (3, 3), "VALID", "fp32 int8", None),
                ((10, 8), (3, 3), "VALID", "fp32", None),
            ]
        ),
        Case(
            "TRANSPOSE_CONV",
            (_I([1, 8, 6, 5]), Weights(_random(5, 3, 3, 4), None), Data((1, 4, 3, 4))),
            "uint8",
            {"stride_h": 2, "stride_w": 2},
        ),
    ]


def _images() -> list[Case]:
    x = Data((2, 7, 6, 3))
    window = {"filter_h": 3, "filter_w": 2, "stride_h": 2, "stride_w": 2}
    return [
        *(
            Case(name, (x,), schemes, {**window, "padding": padding}, same=True, steps=0)
            for name, schemes in [("AVERAGE_POOL_2D", _REAL), ("MAX_POOL_2D", _REAL)]
            for padding in ("SAME", "VALID")
        ),
        Case("AVERAGE_POOL_2D", (x,), _REAL, {**window, "activation": "RELU6"}, same=True, steps=0),
        Case("MAX_POOL_2D", (x,), _REAL, {**window, "activation": "RELU"}, same=True, steps=0),
        Case("L2_POOL_2D", (Data((2, 7, 6, 3), 0, 2),), "fp32", window),
        *(
            # LiteRT interpolates integers with weights of ten bits.
            Case(name, (x, _I(size)), schemes, how, same=True, steps=steps)
            for name, schemes, steps in [
                ("RESIZE_BILINEAR", "fp32 int8 uint8", 2),
                ("RESIZE_NEAREST_NEIGHBOR", _REAL, 0),
            ]
            for size in ([14, 12], [5, 9])
            for how in ({}, {"align_corners": True}, {"half_pixel_centers": True})
        ),
    ]


def _elements() -> list[Case]:
    x, y = Data((2, 3, 4)), Data((3, 1), -0.5, 2)
    positive, far = Data((2, 3, 4), 0.25, 4), Data((2, 3, 4), -8, 8)
    bit, condition = Data((2, 3, 4), -0.1, 0.1), Index((2, 3, 4), 2, "bool")
    half = per_tensor(1 / 256, -128)
    return [
        *(Case(n, (x, y), _ANY, {"pot_scale_int16": False}) for n in ("ADD", "SUB")),
        Case("MUL", (x, y), _ANY),
        *(Case(n, (x, x), "fp32 int8", {"activation": "RELU6"}) for n in ("ADD", "SUB", "MUL")),
        Case("ADD", (x, Real(_random(4))), "fp32 int8", note="constant"),
        Case("DIV", (x, positive), "fp32 int8 uint8 integer"),
        *(
            Case(
                n,
                (
                    x,
                    Data((3, 1)),
                ),
                _ANY,
                same=True,
                steps=0,
            )
            for n in ("MAXIMUM", "MINIMUM")
        ),
        Case("SQUARED_DIFFERENCE", (x, y), "fp32 int8 integer"),
        *(Case(n, (far, positive), "fp32 integer") for n in ("FLOOR_DIV", "FLOOR_MOD")),
        Case("POW", (positive, Data((4,), 0, 3))),
        Case("ADD_N", (x, x, x), "fp32 integer"),
        *(
            Case(n, (x, Data((4,))), _ANY, output="bool")
            for n in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
        ),
        *(
            Case(n, (bit, bit), "integer", integer="bool")
            for n in ("EQUAL", "NOT_EQUAL", "LOGICAL_AND", "LOGICAL_OR")
        ),
        Case("LOGICAL_NOT", (bit,), "integer", integer="bool"),
        *(Case(n, (condition, x, x), _ANY, same=True, steps=0) for n in ("SELECT", "SELECT_V2")),
        Case("SELECT_V2", (Index((3, 1), 2, "bool"), x, Data((4,))), "fp32", note="broadcast"),
        Case("ABS", (x,), "fp32 int8 int16 integer"),
        Case("NEG", (x,), "fp32 integer"),
        *(Case(n, (far,)) for n in ("SIGN", "FLOOR", "SIN", "COS", "SQUARE")),
        *(Case(n, (far,), optimized=True) for n in ("CEIL", "ROUND")),
        Case("ATAN2", (x, x)),
        *(Case(n, (Data((2, 3), -5, 5), Data((3,), 0, 0.6)), "integer") for n in _BITWISE),
        Case("LOG", (positive,), "fp32 int8"),
        Case("EXP", (x,), "fp32 int8 int16"),
        Case("SQRT", (positive,), "fp32 int8 int16"),
        Case("RSQRT", (positive,), "fp32 int8"),
        *(Case(n, (far,), _REAL) for n in ("RELU", "RELU6")),
        *(Case(n, (far,), "fp32 int8 uint8") for n in ("RELU_N1_TO_1", "RELU_0_TO_1")),
        Case("LEAKY_RELU", (far,), _REAL, {"alpha": 0.3}),
        Case("LOGISTIC", (far,), _REAL, fixed=half),
        Case("TANH", (far,), _REAL, fixed=per_tensor(1 / 128)),
        Case("PRELU", (far, Real(_random(4))), "fp32 int8 uint8"),
        Case("HARD_SWISH", (far,), "fp32 int8 uint8"),
        Case("ELU", (far,), "fp32 int8", optimized=True),
        *(
            Case("GELU", (far,), "fp32 int8", {"approximate": approximate})
            for approximate in (False, True)
        ),
        Case("CAST", (far,), "fp32", output="int32"),
        Case("CAST", (far,), "integer", output="float32"),
        Case("CAST", (bit,), "integer", output="float32", integer="bool"),
        Case("CAST", (far,), "integer", output="bool"),
        Case("FAKE_QUANT", (far,), "fp32", {"min": -3.0, "max": 5.0}),
        Case("QUANTIZE", (Float((2, 3, 4)),), "int8 uint8 int16", fixed=per_tensor(1 / 64, 3)),
        Case("QUANTIZE", (x,), "int8 uint8 int16", fixed=per_tensor(1 / 64, 3), note="again"),
        Case("DEQUANTIZE", (x,), "int8 uint8 int16", output="float32"),
    ]


def _along_axes() -> list[Case]:
    x, far = Data((2, 3, 4, 5)), Data((2, 6), -8, 8)
    small, bit = Data((2, 3, 2), 0.2, 0.6), Data((2, 3, 4), -0.1, 0.1)
    return [
        Case("SOFTMAX", (far,), _REAL, fixed=per_tensor(1 / 256, -128)),
        Case(
            "SOFTMAX",
            (Data((2, 3, 4)),),
            "fp32 int8",
            {"beta": 0.5},
            fixed=per_tensor(1 / 256, -128),
        ),
        Case("LOG_SOFTMAX", (far,), "fp32 int8 uint8", fixed=per_tensor(16 / 256, 127)),
        *(
            # The plain SUM of int8 and int16 loses sums above zero.
            Case(n, (x, _I(axes)), schemes, {"keep_dims": keep}, optimized=n == "SUM")
            for n, schemes in [("MEAN", _REAL), ("SUM", _ANY)]
            for axes, keep in (([1, 2], True), ([-1], False))
        ),
        *(
            Case(n, (x, _I([1, -1])), _ANY, {"keep_dims": keep}, same=True, steps=0)
            for n in ("REDUCE_MAX", "REDUCE_MIN")
            for keep in (True, False)
        ),
        Case("REDUCE_PROD", (small, _I([1])), "fp32 int8 int16 integer"),
        *(Case(n, (bit, _I([1])), "integer", integer="bool") for n in ("REDUCE_ANY", "REDUCE_ALL")),
        *(
            Case(n, (x, _I(axis)), "fp32 int8 uint8 integer", {"output_type": to}, output=to)
            for n in ("ARG_MAX", "ARG_MIN")
            for axis, to in ((2, "int64"), (-1, "int32"))
        ),
        *(
            Case("CUMSUM", (x, _I(2)), "fp32 integer", {"exclusive": e, "reverse": r})
            for e, r in ((False, False), (True, False), (False, True), (True, True))
        ),
        Case(
            "TOPK_V2",
            (Data((3, 40)), _I(5)),
            "fp32 int8 uint8 integer",
            outputs=2,
            output=(None, "int32"),
            same=True,
            steps=0,
        ),
        Case("L2_NORMALIZATION", (far,), "fp32 int8 uint8", fixed=per_tensor(1 / 128)),
        # The plain loop leaves out the last channel of the window.
        Case("LOCAL_RESPONSE_NORMALIZATION", (x,), optimized=True),
        *(
            Case("ONE_HOT", (Index((2, 3), 4), _I(5), Real(2), Real(-1)), schemes, {"axis": axis})
            for axis, schemes in ((-1, "fp32 integer"), (0, "fp32"))
        ),
    ]


def _movement() -> list[Case]:
    x, image = Data((2, 3, 4, 5)), Data((2, 4, 6, 8))
    one = Data((1, 3, 1, 5))
    widths = _I([[0, 0], [1, 2], [0, 3], [0, 0]])
    bounds = _I([0, -1, 0, 1]), _I([1, -4, 4, 9]), _I([1, -1, 2, 3])

    def moves(name: str, *operands: object, **options: object) -> Case:
        return Case(name, operands, _ANY, options, same=True, steps=0)

    return [
        moves("RESHAPE", x, _I([4, -1, 6])),
        Case("RESHAPE", (x,), _ANY, {"new_shape": (10, 12)}, same=True, steps=0, note="option"),
        moves("SQUEEZE", one, squeeze_dims=(0, 2)),
        moves("SQUEEZE", one, squeeze_dims=(-4,)),
        moves("SQUEEZE", one),
        moves("SQUEEZE", x),
        moves("EXPAND_DIMS", x, _I(2)),
        moves("EXPAND_DIMS", x, _I([-1])),
        moves("TRANSPOSE", x, _I([0, 3, 1, 2])),
        moves("CONCATENATION", x, Data((2, 1, 4, 5)), x, axis=1),
        moves("CONCATENATION", x, Real(_random(2, 3, 4, 2)), axis=-1),
        moves("PACK", x, x, values_count=2, axis=1),
        moves("PACK", x, Real(_random(2, 3, 4, 5)), values_count=2, axis=-1),
        Case("UNPACK", (x,), _ANY, {"num": 3, "axis": 1}, outputs=3, same=True, steps=0),
        Case("UNPACK", (one,), _ANY, {"num": 1, "axis": -2}, same=True, steps=0),
        Case("SPLIT", (_I(2), x), _ANY, {"num_splits": 2}, outputs=2, same=True, steps=0),
        Case("SPLIT", (_I(-1), x), _ANY, {"num_splits": 1}, same=True, steps=0),
        Case(
            "SPLIT_V",
            (x, _I([1, -1, 2]), _I(3)),
            _ANY,
            {"num_splits": 3},
            outputs=3,
            same=True,
            steps=0,
        ),
        moves("TILE", x, _I([1, 2, 1, 3])),
        moves("REVERSE_V2", x, _I([1, 2])),
        Case("BROADCAST_TO", (one, _I([2, 3, 4, 5])), _ANY, same=True, steps=0, version=2),
        Case("ZEROS_LIKE", (x,), "fp32 integer"),
        moves("SLICE", x, _I([0, 1, 0, 2]), _I([2, 2, -1, 1])),
        moves("STRIDED_SLICE", x, *bounds),
        moves("STRIDED_SLICE", x, *bounds, begin_mask=5, end_mask=10, shrink_axis_mask=1),
        moves("STRIDED_SLICE", x, _I([0, 0]), _I([0, 2]), _I([1, 1]), ellipsis_mask=1),
        moves("STRIDED_SLICE", x, _I([0, 1]), _I([0, 2]), _I([1, 1]), new_axis_mask=1),
        moves("GATHER", x, _I([[3, 0], [1, 1]]), axis=2),
        moves("GATHER", x, Index((3,), 5), axis=-1),
        moves("GATHER", x, Index((2, 7), 3, "int64"), axis=1, batch_dims=1),
        moves("GATHER_ND", x, _I([[1, 2], [0, 0], [1, 1]])),
        moves("GATHER_ND", x, Index((5, 1), 2)),
        Case(
            "REVERSE_SEQUENCE",
            (x, _I([2, 3])),
            "fp32 uint8 int16 integer",
            {"seq_dim": 1, "batch_dim": 0},
            same=True,
            steps=0,
        ),
        Case("SCATTER_ND", (_I([[1], [3], [1]]), Data((3, 4)), _I([5, 4])), "fp32 integer"),
        Case("SCATTER_ND", (_I([[1, 2], [0, 0]]), Data((2, 4)), _I([3, 3, 4]))),
        Case("EMBEDDING_LOOKUP", (Index((4,), 6), Real(_random(6, 8)))),
        Case("EMBEDDING_LOOKUP", (Index((4,), 6), Weights(_random(6, 8), None)), "dynamic-range"),
        moves("PAD", x, widths),
        moves("PADV2", x, widths, Real(0.75)),
        moves("MIRROR_PAD", x, _I([[0, 0], [2, 1], [3, 0], [0, 4]]), mode="REFLECT"),
        moves("MIRROR_PAD", x, _I([[1, 1], [3, 1], [0, 4], [0, 0]]), mode="SYMMETRIC"),
        *(
            Case(n, (image,), "fp32 int8 uint8 integer", {"block_size": 2}, same=True, steps=0)
            for n in ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
        ),
        moves("SPACE_TO_BATCH_ND", image, _I([2, 3]), _I([[1, 1], [0, 3]])),
        moves("BATCH_TO_SPACE_ND", Data((6, 2, 3, 4)), _I([2, 3]), _I([[1, 0], [0, 2]])),
    ]


def _thinned(cases: list[Case]) -> list[Case]:
    """Run the first case of an operator in all of its schemes, others in fp32 and int8."""
    covered: set[tuple[str, str]] = set()
    kept = []
    for case in cases:
        schemes = [
            scheme
            for scheme in case.schemes.split()
            if scheme in ("fp32", "int8") or (case.name, scheme) not in covered
        ]
        covered |= {(case.name, scheme) for scheme in schemes}
        kept.append(replace(case, schemes=" ".join(schemes)))
    return kept


CASES = _thinned([*_products(), *_images(), *_elements(), *_along_axes(), *_movement()])
