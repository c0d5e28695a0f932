"""The ahead-of-time entry computes, bit for bit, what the virtual machine computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

import assay
from assay.compiler.kernels import work
from assay.compiler.passes import schedule_loops
from assay.compiler.static_plan import static_plan
from assay.data import DIGITS_INT8
from assay.runtimes.litert import open_litert
from assay.runtimes.tvm import TVMRuntime, open_build, open_tvm
from assay.timing.profiler import profile_tvm
from tests.builder import GraphBuilder, per_tensor
from tests.compiler.digits import built

RNG = np.random.default_rng(11)


def feeds(runtime):
    for spec in runtime.inputs:
        if spec.dtype.startswith("float"):
            yield RNG.normal(0, 2, spec.shape).astype(spec.dtype)
        elif spec.dtype == "bool":
            yield RNG.integers(0, 2, spec.shape).astype(bool)
        else:
            limits = np.iinfo(spec.dtype)
            yield RNG.integers(max(limits.min, -9999), min(limits.max, 9999), spec.shape).astype(
                spec.dtype
            )


def outputs(runtime: TVMRuntime) -> list[np.ndarray]:
    return [runtime.get_output(index) for index in range(len(runtime.outputs))]


def check(build, threads: int = 1) -> TVMRuntime:
    """Compare entry and virtual machine on several inputs; return the runtime of the entry."""
    entry, machine = open_build(build, threads), open_build(build, threads, entry="vm")
    assert entry.ahead_of_time
    assert not machine.ahead_of_time
    for _ in range(3):
        for index, value in enumerate(feeds(entry)):
            entry.set_input(index, value)
            machine.set_input(index, value)
        entry.run()
        machine.run()
        for ours, theirs in zip(outputs(entry), outputs(machine), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    return entry


def compiled(graph: GraphBuilder, tmp_path: Path, **choices):
    path = tmp_path / "model.tflite"
    path.write_bytes(graph.build())
    return assay.compile(path, **choices)


def small_network() -> GraphBuilder:
    """Two convolutions, a residual addition, and a mean: kernels with and without workspace."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 9, 7, 6))
    weights = [RNG.normal(0, 0.3, (6, 3, 3, 6)).astype(np.float32) for _ in range(2)]
    bias = graph.constant("b", RNG.normal(0, 1, 6).astype(np.float32))
    y = x
    for index, each in enumerate(weights):
        w = graph.constant(f"w{index}", each)
        y = graph.op("CONV_2D", [y, w, bias], (1, 9, 7, 6))
    total = graph.op("ADD", [x, y], (1, 9, 7, 6))
    graph.output(graph.op("MEAN", [total, graph.constant("axes", np.int32([1, 2]))], (1, 6)))
    return graph


@pytest.mark.parametrize("opt_level", range(5))
def test_equal_to_the_machine_at_every_level(opt_level, tmp_path):
    check(compiled(small_network(), tmp_path, opt_level=opt_level))


def test_equal_to_the_machine_in_integers():
    check(built("int8"))


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_equal_to_the_machine_in_float_and_either_layout(layout):
    check(built("fp32", layout=layout), threads=2)


@pytest.mark.parametrize("opt_level", [1, 2, 3, 4])
def test_two_threads_compute_what_one_does(opt_level, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "WORTH_SPLITTING_US", 0)
    monkeypatch.setattr(schedule_loops, "_PARALLEL_WORK", 1)
    build = compiled(small_network(), tmp_path, opt_level=opt_level)
    entry = check(build, threads=2)
    np.testing.assert_array_equal(entry.get_output(0), alone(build, entry).get_output(0))


def test_two_threads_compute_what_one_does_in_integers(monkeypatch):
    monkeypatch.setattr(work, "WORTH_SPLITTING_US", 0)
    build = assay.compile(DIGITS_INT8)
    entry = check(build, threads=2)
    np.testing.assert_array_equal(entry.get_output(0), alone(build, entry).get_output(0))


def test_no_thread_waits_for_one_that_does_not_come(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "WORTH_SPLITTING_US", 0)
    build = compiled(small_network(), tmp_path)
    entry = check(build, threads=2)
    expected = entry.get_output(0)
    other = alone(build, entry)  # it shrinks the pool of threads, which both share
    for _ in range(3):
        entry.run()
        np.testing.assert_array_equal(entry.get_output(0), expected)
    np.testing.assert_array_equal(other.get_output(0), expected)


def alone(build, other: TVMRuntime) -> TVMRuntime:
    """Return a runtime with one thread that ran on another's inputs."""
    runtime = open_build(build, 1)
    for ours, theirs in zip(runtime._arrays, other._arrays, strict=True):
        ours[...] = theirs
    runtime.run()
    return runtime


@pytest.mark.parametrize(
    "name",
    ["ad01_fp32", "ad01_int8", "kws_ref_model", "str_ww_ref_model", "pretrainedResnet_quant"],
)
def test_equal_to_the_machine_on_the_small_models_of_the_zoo(shared, name):
    check(assay.compile(shared / "zoo" / f"{name}.tflite"))


@pytest.mark.parametrize("opt_level", [0, 3])
def test_several_inputs_and_outputs_of_other_types(opt_level, tmp_path):
    graph = GraphBuilder()
    scale = per_tensor(0.05, 3)
    a, b = graph.input("a", (2, 3, 5)), graph.input("b", (2, 3, 5))
    q = graph.input("q", (1, 7), "uint8", scale)
    total = graph.op("ADD", [a, b], (2, 3, 5))
    graph.output(graph.op("MUL", [total, a], (2, 3, 5)))
    graph.output(graph.op("RESHAPE", [total, graph.constant("s", np.int32([30]))], (30,)))
    graph.output(graph.op("DEQUANTIZE", [q], (1, 7)))
    graph.output(total)
    build = compiled(graph, tmp_path, opt_level=opt_level)
    entry = check(build)
    reference = open_litert(tmp_path / "model.tflite", reference=True)
    values = list(feeds(entry))
    for ours, theirs in zip(entry(*values), reference(*values), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_an_output_that_is_a_reshaped_input_follows_the_input(tmp_path):
    graph = GraphBuilder()
    x = graph.input("x", (3, 4))
    graph.output(graph.op("RESHAPE", [x, graph.constant("s", np.int32([12]))], (12,)))
    graph.output(graph.op("NEG", [x], (3, 4)))
    entry = check(compiled(graph, tmp_path))
    value = np.arange(12, dtype=np.float32).reshape(3, 4)
    flat, negative = entry(value)
    np.testing.assert_array_equal(flat, value.reshape(12))
    np.testing.assert_array_equal(negative, -value)


def test_results_stay_what_they_were_after_another_run(tmp_path):
    entry = open_build(compiled(small_network(), tmp_path))
    first, second = (next(feeds(entry)) for _ in range(2))
    before = entry(first)
    kept = before.copy()
    after = entry(second)
    np.testing.assert_array_equal(before, kept)
    assert not np.array_equal(after, kept)
    np.testing.assert_array_equal(entry(first), kept)


def test_the_entry_survives_saving_and_the_machine_still_profiles(tmp_path):
    build = compiled(small_network(), tmp_path)
    manifest = build.save(tmp_path / "model.so")
    runtime = open_tvm(tmp_path / "model.so")
    assert runtime.ahead_of_time
    assert manifest.arena_bytes == build.manifest.arena_bytes
    value = next(feeds(runtime))
    np.testing.assert_array_equal(runtime(value), open_build(build, entry="vm")(value))
    calls = [kernel.call for kernel in profile_tvm(runtime, rounds=2).kernels]
    assert tuple(calls) == manifest.kernels


def test_the_stock_pipeline_stays_on_the_machine(tmp_path):
    build = compiled(small_network(), tmp_path, pipeline="stock")
    assert build.manifest.arena_bytes is None
    assert not open_build(build).ahead_of_time


@pytest.mark.parametrize(
    ("channels", "read_again", "tensors"), [(32, False, 2), (32, True, 3), (21, False, 3)]
)
def test_a_sum_takes_the_place_of_its_operand(channels, read_again, tensors, tmp_path, monkeypatch):
    """Two blocks x + conv(conv(x)): not if x is read again, or vectors of channels overlap."""
    monkeypatch.setattr(work, "WORTH_SPLITTING_US", 0)
    graph, shape = GraphBuilder(), (1, 12, 12, channels)
    names = iter(range(9))

    def convolution(x):
        values = RNG.normal(0, 0.3, (channels, 1, 1, channels)).astype(np.float32)
        w = graph.constant(f"w{next(names)}", values)
        return graph.op("CONV_2D", [x, w, bias], shape)

    bias = graph.constant("b", RNG.normal(0, 1, channels).astype(np.float32))
    first = convolution(graph.input("x", shape))
    second = graph.op("ADD", [convolution(convolution(first)), first], shape)
    third = graph.op("ADD", [convolution(convolution(second)), second], shape)
    last = graph.op("MUL", [convolution(third), second], shape) if read_again else third
    graph.output(convolution(last))
    build = compiled(graph, tmp_path, target="llvm -mcpu=core-avx2", layout="nhwc", opt_level=3)
    entry = check(build, threads=2)
    np.testing.assert_array_equal(entry.get_output(0), alone(build, entry).get_output(0))
    assert build.manifest.arena_bytes == tensors * 4 * 12 * 12 * channels


def rows_of(graph, x, first, count, width):
    """Slice the rows of a tensor [rows, width]."""
    bounds = (first, 0), (first + count, width), (1, 1)
    name = f"bounds{len(graph.tensors)}"
    constants = [graph.constant(f"{name}{i}", np.int32(each)) for i, each in enumerate(bounds)]
    return graph.op("STRIDED_SLICE", [x, *constants], (count, width))


@pytest.mark.parametrize(("width", "arena_bytes"), [(16, 40 * 64), (5, 832 + 640)])
def test_rows_of_a_tensor_are_read_where_they_are(width, arena_bytes, tmp_path):
    """Not if they begin where no tensor may."""
    graph = GraphBuilder()
    whole = graph.op("TANH", [graph.input("x", (40, width))], (40, width))
    rows = rows_of(graph, whole, 3, 32, width)
    graph.output(graph.op("TANH", [rows], (32, width)))
    build = compiled(graph, tmp_path)
    check(build, threads=2)
    assert build.manifest.arena_bytes == arena_bytes


def test_rows_of_inputs_outputs_and_of_rows(tmp_path):
    graph = GraphBuilder()
    x = graph.input("x", (64, 16))
    first = graph.op("TANH", [rows_of(graph, x, 17, 40, 16)], (40, 16))
    inner = rows_of(graph, rows_of(graph, first, 1, 38, 16), 2, 32, 16)
    total = graph.op("ADD", [inner, rows_of(graph, first, 5, 32, 16)], (32, 16))
    product = graph.op("MUL", [graph.op("TANH", [total], (32, 16)), inner], (32, 16))
    graph.output(total, product, first, *(rows_of(graph, each, 1, 3, 16) for each in (total, x)))
    check(compiled(graph, tmp_path), threads=2)


def test_rows_that_are_copied_out_outlive_later_tensors(tmp_path):
    graph = GraphBuilder()
    x = graph.input("x", (64, 16))
    first = graph.op("TANH", [x], (64, 16))
    total = graph.op("ADD", [x, x], (64, 16))
    rows = [rows_of(graph, each, 0, 1, 16) for each in (first, total)]
    graph.output(graph.op("TANH", [rows[1]], (1, 16)), *rows)
    check(compiled(graph, tmp_path))


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_random_rows(tmp_path_factory, data):
    graph, width = GraphBuilder(), data.draw(st.sampled_from([1, 16, 24]))
    rows = {graph.input("x", (64, width)): 64}
    for _ in range(data.draw(st.integers(4, 9))):
        x = data.draw(st.sampled_from(list(rows)))
        size = rows[x]
        match data.draw(st.sampled_from(["tanh", "add", "rows", "rows"])):
            case "tanh":
                y = graph.op("TANH", [x], (size, width))
            case "add":
                y = data.draw(st.sampled_from([each for each in rows if rows[each] == size]))
                y = graph.op("ADD", [x, y], (size, width))
            case "rows":
                first = data.draw(st.integers(0, size - 1))
                size = data.draw(st.integers(1, size - first))
                y = rows_of(graph, x, first, size, width)
        rows[y] = size
    last = graph.op("TANH", [y], (size, width))
    graph.output(last, *list(rows)[-2:])
    check(compiled(graph, tmp_path_factory.mktemp("rows")))


def test_no_plan_for_a_function_that_calls_no_kernel():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((3,), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(x)
    assert static_plan(builder.finalize()) is None
