"""Every operator of the table, in each form that operator sets 13 to 22 give it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

import assay
from assay.compiler.frontend.onnx.operators import OPERATORS
from assay.errors import UnsupportedOperatorError
from assay.runtimes.tvm import open_build
from tests.builder.onnx_net import OnnxNet
from tests.compiler.onnx.cases import CASES, IMAGE, Case, Input, f32, noise

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

BY_NAME: dict[str, list[Case]] = defaultdict(list)
for each in CASES:
    BY_NAME[each.name].append(each)


LAST = 22


def changed(case: Case) -> bool:
    """Tell whether an operator is another one in the case's first set than in its last."""
    first, last = (
        onnx.defs.get_schema(case.name, opset).since_version for opset in (case.since, case.until)
    )
    return bool(first != last)


EARLIER = [
    *((each.since, each) for each in CASES if changed(each)),
    *((each.until, each) for each in CASES if each.until < LAST),
]


class Problem:
    """Several cases in one file; ``feeds`` by input, ``tolerances`` by output."""

    def __init__(self, opset: int, cases: list[Case], image: str | None = None) -> None:
        self.net = OnnxNet(opset)
        self.rng = np.random.default_rng(len(cases))
        self.feeds: dict[str, np.ndarray] = {}
        self.outputs: list[str] = []
        self.tolerances: list[float] = []
        self.start = self._convolved() if image else None
        for case in cases:
            names = [self._operand(operand) for operand in case.operands]
            if self.start is not None:
                names[0] = self.start
            made = self.net.op(case.name, *names, outputs=case.outputs, **case.attributes)
            made = [made] if case.outputs == 1 else made
            self.outputs += made
            self.tolerances += [case.tolerance] * len(made)

    def check(self, path, **choices) -> None:
        """Compile the file and compare each output with ONNX Runtime's."""
        onnx.save(self._model(), path)
        build = open_build(assay.compile(path, **choices))
        found = build(*self.feeds.values())
        found = found if isinstance(found, tuple) else (found,)
        expected = ort.InferenceSession(str(path)).run(None, self.feeds)
        for name, got, want, share in zip(
            self.outputs, found, expected, self.tolerances, strict=True
        ):
            maker = next(node for node in self.net.nodes if name in node.output)
            assert (got.shape, got.dtype) == (want.shape, want.dtype), maker
            if want.dtype.kind == "f":
                span = max(np.ptp(want), np.abs(want).max())
                np.testing.assert_allclose(got, want, rtol=0, atol=share * span, err_msg=str(maker))
            else:
                np.testing.assert_array_equal(got, want, err_msg=str(maker))

    def _convolved(self) -> str:
        """Return what a convolution makes of an image: in NHWC once it is compiled."""
        name = self._operand(Input(IMAGE, low=0.5))
        identity = np.eye(IMAGE[1], dtype=np.float32).reshape(IMAGE[1], IMAGE[1], 1, 1)
        made: str = self.net.op("Conv", name, self.net.constant(identity))
        return made

    def _operand(self, operand) -> str:
        if operand is None:
            return ""
        if not isinstance(operand, Input):
            return self.net.constant(operand)
        name = self.net.input(f"x{len(self.feeds)}", operand.shape, operand.dtype)
        if operand.dtype == "float32":
            value = self.rng.uniform(operand.low, operand.high, operand.shape)
        else:
            high = 1 if operand.dtype == "bool" else int(operand.high)
            value = self.rng.integers(min(int(operand.low), high), high + 1, operand.shape)
        self.feeds[name] = value.astype(operand.dtype)
        return name

    def _model(self):
        helper = onnx.helper
        ports = [helper.make_empty_tensor_value_info(name) for name in self.outputs]
        net = self.net
        graph = helper.make_graph(net.nodes, "net", net.inputs, ports, net.constants)
        sets = [helper.make_opsetid("", net.opset)]
        model = helper.make_model(graph, opset_imports=sets, ir_version=8)
        model = onnx.shape_inference.infer_shapes(model)
        _type_like_operands(model.graph)
        return model


def _type_like_operands(graph) -> None:
    """Give outputs that ONNX infers nothing of, some functions of other operators, a type."""
    known = {port.name: port.type for port in (*graph.input, *graph.value_info)}
    for port in graph.output:
        if not port.type.tensor_type.HasField("shape"):
            maker = next(node for node in graph.node if port.name in node.output)
            port.type.CopyFrom(known[maker.input[0]])


@pytest.mark.parametrize("name", BY_NAME)
def test_an_operator_computes_what_onnx_runtime_computes(name, tmp_path):
    last = max(each.until for each in BY_NAME[name])  # that ONNX Runtime has
    cases = [each for each in BY_NAME[name] if each.until == last]
    Problem(last, cases).check(tmp_path / "net.onnx", opt_level=1)


@pytest.mark.parametrize("opset", sorted({opset for opset, _ in EARLIER}))
def test_earlier_forms_of_operators(opset, tmp_path):
    cases = [case for first, case in EARLIER if first == opset]
    Problem(opset, cases).check(tmp_path / "net.onnx", opt_level=1)


def test_operators_on_what_a_convolution_leaves_in_nhwc(tmp_path):
    def takes_an_image(case: Case) -> bool:
        first = case.operands[0]
        return isinstance(first, Input) and (first.shape, first.dtype) == (IMAGE, "float32")

    cases = [each for each in CASES if each.until == 22 and takes_an_image(each)]
    problem = Problem(22, cases, image="x")
    assert len({each.name for each in cases}) > 40
    problem.check(tmp_path / "net.onnx", opt_level=3)


def test_the_table_holds_just_what_the_cases_cover():
    quantization = {"QuantizeLinear", "DequantizeLinear"}  # they have a file of tests
    assert OPERATORS.keys() - quantization == BY_NAME.keys()


def test_scales_that_leave_part_of_a_pixel_are_refused(tmp_path):
    net = OnnxNet()
    y = net.op("Resize", net.input("x", IMAGE), "", net.constant(f32(1, 1, 0.5, 0.6)))
    with pytest.raises(UnsupportedOperatorError, match="Resize at operator 0: its scales"):
        assay.compile(net.save(tmp_path / "net.onnx", y))


SEQUENCE = (5, 2, 3)
LSTM = (noise(1, 16, 3), noise(1, 16, 4))
GRU = (noise(2, 12, 3), noise(2, 12, 4))
NOTHING = (None, None, None, None)


@pytest.mark.parametrize(
    ("kind", "x", "rest", "attributes", "why"),
    [
        ("Resize", IMAGE, (None, None, [1, 6, 3, 2]), {"antialias": 1, "mode": "linear"},
         "antialias"),
        ("Resize", IMAGE, (None, None, [3, 2]),
         {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}, "keep_aspect_ratio_policy"),
        ("Resize", IMAGE, (None, None, [1, 6, 9, 9]),
         {"coordinate_transformation_mode": "half_pixel_symmetric"}, "coordinate_transformation"),
        ("Resize", IMAGE, (None, None, [1, 3, 9, 9]), {}, "batch or the channels"),
        ("Resize", (4, 5), (None, None, [9, 9]), {}, "no kernel resizes 2 dimensions"),
        ("RoiAlign", (1, 3, 8, 8), (noise(2, 4), [0, 0]), {}, "sampling_ratio 0"),
        ("RoiAlign", (1, 3, 8, 8), (noise(2, 4), [0, 0]), {"sampling_ratio": 2, "mode": "max"},
         "no kernel has its mode"),
        ("LSTM", SEQUENCE, LSTM, {"layout": 1}, "batch first"),
        ("LSTM", SEQUENCE, LSTM, {"clip": 3.0}, "clips"),
        ("LSTM", SEQUENCE, LSTM, {"input_forget": 1}, "input and forget gates are one"),
        ("LSTM", SEQUENCE, (*LSTM, *NOTHING, noise(1, 12)), {}, "peepholes"),
        ("LSTM", SEQUENCE, (*LSTM, None, np.int32([5, 3])), {}, "different lengths"),
        ("LSTM", SEQUENCE, LSTM, {"activations": ["Sigmoid", "Elu", "Tanh"]}, "activation Elu"),
        ("LSTM", (600, 1, 3), LSTM, {}, "600 steps would each become kernels"),
        ("GRU", (300, 1, 3), GRU, {"direction": "bidirectional"}, "600 steps"),
    ],
)  # fmt: skip
def test_forms_that_no_kernel_has_are_refused(kind, x, rest, attributes, why, tmp_path):
    net = OnnxNet(19)
    operands = [
        "" if each is None else net.constant(np.int64(each) if isinstance(each, list) else each)
        for each in rest
    ]
    hidden = {"hidden_size": 4} if kind in ("LSTM", "GRU") else {}
    y = net.op(kind, net.input("x", x), *operands, **hidden, **attributes)
    with pytest.raises(UnsupportedOperatorError, match=f"{kind} at operator 0: .*({why})"):
        assay.compile(net.save(tmp_path / "net.onnx", y))


def test_lengths_of_sequences_that_come_at_run_time_are_refused(tmp_path):
    net = OnnxNet()
    lengths = net.input("lengths", [2], "int32")
    weights = [net.constant(each) for each in LSTM]
    y = net.op("LSTM", net.input("x", SEQUENCE), *weights, "", lengths, hidden_size=4)
    with pytest.raises(UnsupportedOperatorError, match="lengths of sequences is computed at run"):
        assay.compile(net.save(tmp_path / "net.onnx", y))


def test_all_that_does_not_compile_is_named_before_any_work(tmp_path, monkeypatch):
    """Awkward operators between others: all of them, by index, before the importer is called."""
    net = OnnxNet()
    w = net.op("Cast", net.op("NonZero", net.op("Relu", net.input("w", IMAGE))), to=1)
    y = net.op("Det", net.op("Abs", net.input("square", (2, 3, 3))))
    z, _, _ = net.op("LSTM", net.input("z", SEQUENCE), *map(net.constant, LSTM), hidden_size=4,
                     clip=1.0, outputs=3)  # fmt: skip
    file = net.save(tmp_path / "net.onnx", y, z, net.op("ReduceMax", w, axes=[0, 1], keepdims=0))
    import_graph = "assay.compiler.frontend.onnx.importer._Importer.from_onnx"
    monkeypatch.setattr(import_graph, lambda *_: pytest.fail("the import has begun"))
    with pytest.raises(UnsupportedOperatorError) as raised:
        assay.compile(file)
    for part in (
        "3 operator(s)",
        "NonZero at operator 1",
        "Det at operator 4",
        "LSTM at operator 5: it clips",
    ):
        assert part in str(raised.value)


def test_batch_normalization_of_its_own_stays_in_nhwc(tmp_path):
    net = OnnxNet()
    x = net.conv(net.input("x", [1, 3, 6, 6]), (3, 4))
    y = net.batch_norm(net.op("Add", x, net.op("Relu", x)), 4)
    file = net.save(tmp_path / "net.onnx", net.conv(y, (4, 4)))
    log = assay.compile(file, opt_level=3).log
    converted = next(line for line in log if line.startswith("[pass] ConvertToNHWC"))
    assert "2 permute_dims" in converted  # at input and output
    assert "batch_norm" not in converted
