"""Whole graphs through the importer: shapes, batches, names, weights of other types, failures."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tvm import relax

import assay
from assay.compiler.frontend.importer import border, import_model
from assay.errors import ConfigError, ModelError, UnsupportedOperatorError
from assay.model.reader import read
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.compiler.frontend.one_operator import compiled, reference

Save = Callable[..., Path]
I32 = np.int32
RNG = np.random.default_rng(3)


def run(path: Path, *feeds: np.ndarray, batch: int = 1) -> list[np.ndarray]:
    """Import for a batch, build with TVM's own pipeline, and run."""
    module = import_model(read(path), batch)
    machine = relax.VirtualMachine(
        relax.build(module, tvm.target.Target({"kind": "llvm"})), tvm.cpu()
    )
    result = machine["main"](*(tvm.runtime.tensor(feed) for feed in feeds))
    return [part.numpy() for part in result] if hasattr(result, "__len__") else [result.numpy()]


def resized(data: bytes, *feeds: np.ndarray) -> list[np.ndarray]:
    """Run on LiteRT's reference kernels with the inputs resized to the feeds."""
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    for detail, feed in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.resize_tensor_input(detail["index"], feed.shape)
    interpreter.allocate_tensors()
    for detail, feed in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], feed)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


@pytest.fixture
def squeeze_excite() -> GraphBuilder:
    """Scales channels by a function of their means, in the way that Keras models are converted.

    The batch is open, so the converter computes the shape of the means at run time.
    """
    graph = GraphBuilder()
    open_ = {"shape_signature": (-1, 4, 4, 6)}
    x = graph.input("x", (1, 4, 4, 6), **open_)
    mean = graph.op(
        "MEAN", [x, graph.constant("axes", I32([1, 2]))], (1, 6), shape_signature=(-1, 6)
    )
    shape = graph.op("SHAPE", [mean], (2,), "int32")
    ends = [graph.constant(n, I32([v])) for n, v in (("from", 0), ("to", 1), ("by", 1))]
    batch = graph.op("STRIDED_SLICE", [shape, *ends], (), "int32", options={"shrink_axis_mask": 1})
    one, depth = graph.constant("one", I32(1)), graph.constant("depth", I32(6))
    packed = graph.op("PACK", [batch, one, one, depth], (4,), "int32", options={"values_count": 4})
    wide = graph.op("RESHAPE", [mean, packed], (1, 1, 1, 6), shape_signature=(-1, 1, 1, 6))
    w = graph.constant("w", RNG.normal(size=(6, 1, 1, 6)).astype(np.float32))
    b = graph.constant("b", np.zeros(6, np.float32))
    excite = graph.op("CONV_2D", [wide, w, b], (1, 1, 1, 6), shape_signature=(-1, 1, 1, 6))
    gate = graph.op("LOGISTIC", [excite], (1, 1, 1, 6), shape_signature=(-1, 1, 1, 6))
    graph.output(graph.op("MUL", [x, gate], (1, 4, 4, 6), **open_))
    return graph


class TestBatch:
    @pytest.mark.parametrize("batch", [1, 3])
    def test_arithmetic_on_shapes_follows_the_batch(
        self, save: Save, squeeze_excite: GraphBuilder, batch: int
    ) -> None:
        x = RNG.normal(size=(batch, 4, 4, 6)).astype(np.float32)
        [actual] = run(save(squeeze_excite), x, batch=batch)
        [expected] = resized(squeeze_excite.build(), x)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)

    def test_no_shape_reaches_the_graph(self, save: Save, squeeze_excite: GraphBuilder) -> None:
        text = import_model(read(save(squeeze_excite)), 2).script()
        assert "shape_of" not in text
        assert "shape_to_tensor" not in text

    def test_the_specs_have_the_shapes_of_the_import(
        self, save: Save, squeeze_excite: GraphBuilder
    ) -> None:
        model = read(save(squeeze_excite))
        inputs, outputs = border(model, import_model(model, 5))
        assert [(spec.name, spec.shape) for spec in inputs] == [("x", (5, 4, 4, 6))]
        assert [spec.shape for spec in outputs] == [(5, 4, 4, 6)]

    def test_only_an_open_batch_can_be_chosen(self, save: Save) -> None:
        graph = GraphBuilder()
        graph.output(graph.op("RELU", [graph.input("x", (2, 3))], (2, 3)))
        path = save(graph)
        with pytest.raises(ConfigError, match="no input leaves the batch open"):
            import_model(read(path), 4)
        x = RNG.normal(size=(2, 3)).astype(np.float32)
        np.testing.assert_array_equal(run(path, x)[0], np.maximum(x, 0))

    @pytest.mark.parametrize("batch", [0, -1])
    def test_a_batch_holds_samples(
        self, save: Save, squeeze_excite: GraphBuilder, batch: int
    ) -> None:
        with pytest.raises(ConfigError, match="give 1 or more"):
            import_model(read(save(squeeze_excite)), batch)

    def test_only_the_inputs_need_to_say_that_it_is_open(self, save: Save) -> None:
        graph = GraphBuilder()
        x, y = (graph.input(name, (1, 4), shape_signature=(-1, 4)) for name in "xy")
        graph.output(graph.op("MUL", [graph.op("ADD", [x, y], (1, 4)), y], (1, 4)))
        path = save(graph)
        feeds = [RNG.normal(size=(3, 4)).astype(np.float32) for _ in range(2)]
        (expected,) = resized(path.read_bytes(), *feeds)
        (got,) = run(path, *feeds, batch=3)
        np.testing.assert_allclose(got, expected, rtol=1e-6)

    def test_a_shape_that_fixes_the_batch_is_named(self, save: Save) -> None:
        graph = GraphBuilder()
        x = graph.input("x", (1, 6), shape_signature=(-1, 6))
        graph.output(graph.op("RESHAPE", [x, graph.constant("s", I32([1, 2, 3]))], (1, 2, 3)))
        with pytest.raises(UnsupportedOperatorError, match=r"RESHAPE at operator 0: its new shape"):
            import_model(read(save(graph)), 2)


class TestNames:
    def test_tensors_may_share_a_name_or_have_none(self, save: Save) -> None:
        graph = GraphBuilder()
        x = graph.input("", (1, 3))
        doubled = graph.op("ADD", [x, x], (1, 3), output="same")
        graph.output(graph.op("NEG", [doubled], (1, 3), output="same"))
        data = np.float32([[1, -2, 3]])
        np.testing.assert_array_equal(compiled(save(graph), [data])[0], [[-2, 4, -6]])

    def test_inputs_and_outputs_keep_their_order(self, save: Save) -> None:
        graph = GraphBuilder()
        z, a = graph.tensor("z", (1, 2)), graph.tensor("a", (1, 2))
        graph.inputs = [a, z]
        difference = graph.op("SUB", [a, z], (1, 2), output="difference")
        turned = graph.op("NEG", [difference], (1, 2), output="turned")
        graph.output(turned, difference, turned)
        feeds = [np.float32([[5, 1]]), np.float32([[2, 2]])]
        actual = compiled(save(graph), feeds)
        for ours, theirs in zip(actual, ([[-3, 1]], [[3, -1]], [[-3, 1]]), strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_an_operator_with_several_outputs(self, save: Save) -> None:
        graph = GraphBuilder()
        x = graph.input("x", (1, 6))
        parts = [graph.tensor(f"part{i}", (1, 2)) for i in range(3)]
        graph.multi_op(
            "SPLIT", [graph.constant("axis", I32(1)), x], parts, options={"num_splits": 3}
        )
        graph.output(parts[2], graph.op("ADD", [parts[0], parts[1]], (1, 2)))
        last, total = compiled(save(graph), [np.arange(6, dtype=np.float32)[None]])
        np.testing.assert_array_equal(last, [[4, 5]])
        np.testing.assert_array_equal(total, [[2, 4]])


class TestWeights:
    """Weights stored in fewer bits than the activations have."""

    X = RNG.normal(size=(1, 5, 5, 4)).astype(np.float32)

    def real(self, stored: np.ndarray, scales: np.ndarray) -> np.ndarray:
        return (stored * scales.reshape(-1, *[1] * (stored.ndim - 1))).astype(np.float32)

    def convolution(self, graph: GraphBuilder, weights: int) -> bytes:
        x = graph.input("x", self.X.shape)
        bias = graph.constant("bias", np.float32([1, 2, 3]))
        graph.output(graph.op("CONV_2D", [x, weights, bias], (1, 5, 5, 3)))
        return graph.build()

    def test_dynamic_range_is_exact_in_the_activations(self, save: Save) -> None:
        stored = RNG.integers(-127, 128, (3, 3, 3, 4), np.int8)
        scales = np.float32([0.01, 0.02, 0.005])
        plain, small = GraphBuilder(), GraphBuilder()
        w = plain.constant("w", self.real(stored, scales))
        [expected] = reference(self.convolution(plain, w), [self.X])
        w = small.constant("w", stored, per_axis(scales, 0))
        path = save(self.convolution(small, w))
        [actual] = compiled(path, [self.X])
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
        kept = "R.dequantize" in import_model(read(path)).script()
        assert kept  # as a constant of INT8, which a later pass may fold

    def test_four_bits(self, save: Save) -> None:
        stored = RNG.integers(-7, 8, (3, 5), np.int8)
        scales = np.float32([0.1, 0.2, 0.05])
        x = RNG.normal(size=(2, 5)).astype(np.float32)
        halves = np.append(stored.ravel(), 0).reshape(-1, 2).astype(np.uint8) & 15
        packed = (halves[:, 0] | halves[:, 1] << 4).astype(np.uint8).tobytes()
        graph = GraphBuilder()
        inputs = [
            graph.input("x", x.shape),
            graph.tensor("w", (3, 5), "int4", per_axis(scales, 0), data=packed),
            graph.constant("b", np.zeros(3, np.float32)),
        ]
        graph.output(graph.op("FULLY_CONNECTED", inputs, (2, 3)))
        [actual] = compiled(save(graph), [x])
        np.testing.assert_allclose(actual, x @ self.real(stored, scales).T, rtol=1e-5, atol=1e-6)

    def test_float16(self, save: Save) -> None:
        half = RNG.normal(size=(3, 3, 3, 4)).astype(np.float16)
        graph = GraphBuilder()
        w = graph.op("DEQUANTIZE", [graph.constant("h", half)], half.shape)
        data = self.convolution(graph, w)
        [expected] = reference(data, [self.X])
        [actual] = compiled(save(data), [self.X])
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)

    def test_one_channel_with_a_scale_of_its_own(self, save: Save) -> None:
        graph = GraphBuilder()
        q = per_tensor(0.02, 3)
        x = RNG.integers(-128, 128, (1, 6, 6, 1), np.int8)
        inputs = [
            graph.input("x", x.shape, "int8", q),
            graph.constant("w", np.int8([[[[5], [-9]], [[100], [1]]]]), per_axis([0.01], 3)),
            graph.constant("b", I32([40]), per_axis([0.0002], 0)),
        ]
        options = {"padding": "VALID"}
        graph.output(
            graph.op(
                "DEPTHWISE_CONV_2D",
                inputs,
                (1, 5, 5, 1),
                "int8",
                per_tensor(0.05, -2),
                options=options,
            )
        )
        [expected] = reference(graph.build(), [x])
        [actual] = compiled(save(graph), [x])
        assert np.abs(actual.astype(int) - expected).max() <= 1

    def test_weights_that_operators_share_are_one_constant(self, save: Save) -> None:
        graph = GraphBuilder()
        x = graph.input("x", (1, 1000))
        c = graph.constant("c", RNG.normal(size=(1, 1000)).astype(np.float32))
        graph.output(graph.op("ADD", [graph.op("MUL", [x, c], (1, 1000)), c], (1, 1000)))
        module = import_model(read(save(graph)))
        found: list[Any] = []

        def visit(expr: Any) -> None:
            if isinstance(expr, tvm.ir.GenericConst) and isinstance(expr.value, tvm.runtime.Tensor):
                found.append(expr)

        relax.analysis.post_order_visit(module["main"], visit)
        # .numpy() may copy to a fresh address; DLPack shows the constant's own memory.
        assert len({np.from_dlpack(constant.value).ctypes.data for constant in found}) == 1
        assert "params" not in (module["main"].attrs or {})


class TestQuantizedMoves:
    """LiteRT moves raw integers even where the scales of input and output differ."""

    @pytest.mark.parametrize(
        ("name", "operands", "shape"),
        [
            ("RESHAPE", [I32([6, 4])], (6, 4)),
            ("TRANSPOSE", [I32([1, 0, 2])], (3, 2, 4)),
            ("SLICE", [I32([0, 1, 0]), I32([2, 2, -1])], (2, 2, 4)),
            ("TILE", [I32([1, 1, 2])], (2, 3, 8)),
            ("GATHER", [I32([1, 1, 0])], (3, 3, 4)),
        ],
    )
    def test_whatever_the_scales_say(
        self, save: Save, name: str, operands: list[np.ndarray], shape: tuple[int, ...]
    ) -> None:
        x = RNG.integers(0, 256, (2, 3, 4), np.uint8)
        graph = GraphBuilder()
        inputs = [graph.input("x", x.shape, "uint8", per_tensor(0.5, 10))]
        inputs += [graph.constant(f"c{i}", value) for i, value in enumerate(operands)]
        graph.output(graph.op(name, inputs, shape, "uint8", per_tensor(0.25, 200)))
        [expected] = reference(graph.build(), [x])
        np.testing.assert_array_equal(compiled(save(graph), [x])[0], expected)

    def test_but_concatenation_brings_parts_to_one_scale(self, save: Save) -> None:
        x = RNG.integers(0, 256, (1, 8), np.uint8)
        graph = GraphBuilder()
        a = graph.input("a", x.shape, "uint8", per_tensor(0.5, 10))
        b = graph.input("b", x.shape, "uint8", per_tensor(0.25, 100))
        graph.output(graph.op("CONCATENATION", [a, b], (1, 16), "uint8", per_tensor(0.5, 10)))
        [expected] = reference(graph.build(), [x, x])
        [actual] = compiled(save(graph), [x, x])
        np.testing.assert_array_equal(actual[:, :8], x)
        assert np.abs(actual.astype(int) - expected).max() <= 1


class TestDivision:
    """Integers divide without stopping the process."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("DIV", [-3, 3, -7, -(2**31)]), ("FLOOR_DIV", [-4, 3, -7, -(2**31)])],
    )
    def test_divisors_that_trap(self, save: Save, name: str, expected: list[int]) -> None:
        graph = GraphBuilder()
        x, y = (graph.input(n, (4,), "int32") for n in "xy")
        graph.output(graph.op(name, [x, y], (4,), "int32"))
        feeds = [I32([-7, -7, -7, -(2**31)]), I32([2, -2, 0, -1])]
        np.testing.assert_array_equal(compiled(save(graph), feeds)[0], I32(expected))


class TestFailures:
    """Whatever goes wrong names the file, the operator and the reason, in one line."""

    def refused(self, path: Path) -> str:
        with pytest.raises(UnsupportedOperatorError) as raised:
            import_model(read(path))
        message = str(raised.value)
        assert str(path) in message
        assert "\n" not in message
        assert len(message) < 700
        return message

    def test_a_known_index_out_of_bounds(self, save: Save) -> None:
        graph = GraphBuilder()
        inputs = [graph.input("x", (3, 2)), graph.constant("i", I32([0, 3]))]
        graph.output(graph.op("GATHER", inputs, (2, 2)))
        assert "GATHER at operator 0: it reads beyond" in self.refused(save(graph))

    def test_indices_at_run_time_are_clamped(self, save: Save) -> None:
        graph = GraphBuilder()
        inputs = [graph.input("x", (3, 2)), graph.input("i", (3,), "int32")]
        graph.output(graph.op("GATHER", inputs, (3, 2)))
        x = np.arange(6, dtype=np.float32).reshape(3, 2)
        [actual] = compiled(save(graph), [x, I32([-7, 1, 10**6])])
        np.testing.assert_array_equal(actual, x[[0, 1, 2]])

    def test_a_shape_that_the_file_contradicts(self, save: Save) -> None:
        graph = GraphBuilder()
        graph.output(graph.op("RELU", [graph.input("x", (1, 4))], (1, 5)))
        message = self.refused(save(graph))
        assert "RELU at operator 0: it gives shape [1, 4] where the file says [1, 5]" in message

    def test_a_type_that_the_file_contradicts(self, save: Save) -> None:
        graph = GraphBuilder()
        graph.output(graph.op("RELU", [graph.input("x", (1, 4))], (1, 4), "int32"))
        assert "it gives float32 where the file says int32" in self.refused(save(graph))

    def test_shapes_that_do_not_fit(self, save: Save) -> None:
        graph = GraphBuilder()
        inputs = [graph.input("x", (2, 3)), graph.input("y", (4, 5))]
        graph.output(graph.op("ADD", inputs, (2, 3)))
        assert "ADD at operator 0" in self.refused(save(graph))

    def test_constants_that_do_not_fit(self, save: Save) -> None:
        graph = GraphBuilder()
        inputs = [graph.constant("a", I32([1, 2])), graph.constant("b", I32([1, 2, 3]))]
        graph.output(graph.op("ADD", inputs, (2,), "int32"), graph.input("x", (1,)))
        assert "ADD at operator 0" in self.refused(save(graph))

    def test_a_fused_activation_without_a_conversion(self, save: Save) -> None:
        graph = GraphBuilder()
        x = graph.input("x", (1, 4))
        options = {"activation": "SIGN_BIT"}
        graph.output(graph.op("ADD", [x, x], (1, 4), options=options))
        assert "ADD at operator 0" in self.refused(save(graph))

    def test_a_file_that_changed_after_it_was_read(self, save: Save) -> None:
        graph = GraphBuilder()
        graph.output(graph.op("RELU", [graph.input("x", (1, 4))], (1, 4)))
        path = save(graph)
        model = read(path)
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(ModelError, match="has changed since it was read"):
            import_model(model)
        path.unlink()
        with pytest.raises(ModelError, match="does not exist"):
            import_model(model)

    def test_nothing_else_is_printed(self, save: Save, capfd: pytest.CaptureFixture[str]) -> None:
        graph = GraphBuilder()
        graph.output(graph.op("RELU", [graph.input("x", (1, 4))], (1, 5)))
        self.refused(save(graph))
        gc.collect()
        assert capfd.readouterr() == ("", "")

    def test_compile_reports_it_likewise(self, save: Save) -> None:
        graph = GraphBuilder()
        graph.output(graph.op("CUSTOM:Mystery", [graph.input("x", (1, 4))], (1, 4)))
        with pytest.raises(UnsupportedOperatorError, match="CUSTOM:Mystery at operator 0"):
            assay.compile(save(graph))
