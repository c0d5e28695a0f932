"""``assay run``: raw tensors in and out, on every runtime."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest

from tests.builder import GraphBuilder
from tests.lab import toy
from tests.lab.runs import assay_command
from tests.runtimes import onnx_builder


@pytest.fixture
def library(assay, files):
    path = files / "toy.so"
    assert assay("compile", files / "toy.fp32.tflite", "-o", path, "--target", "llvm").code == 0
    return path


def test_a_model_and_its_library_answer_alike(assay, files, library):
    x = np.load(files / "x.npy")
    for name in ("toy.fp32.tflite", library.name):
        out = files / "made" / f"{name}.npy"
        code, text, _ = assay("run", files / name, "--input", files / "x.npy", "--output", out)
        assert code == 0
        assert text == f"{out}: scores float32[1, 3]\n"
        np.testing.assert_allclose(np.load(out), x.mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("runtime", ["tvm", "stock", "openvino"])
def test_another_runtime(assay, files, runtime):
    if runtime == "openvino":
        pytest.importorskip("openvino")
    out = files / "y.npy"
    code, *_ = assay(
        *("run", files / "toy.fp32.tflite", "--runtime", runtime, "--threads", 2),
        *("--input", files / "x.npy", "--output", out),
    )
    assert code == 0
    np.testing.assert_allclose(np.load(out), np.load(files / "x.npy").mean(axis=(1, 2)), atol=1e-6)


def test_tensors_are_raw(assay, files):
    x = np.arange(-24, 24, dtype=np.int8).reshape(toy.SHAPE)
    np.save(files / "q.npy", x)
    code, *_ = assay(
        *("run", files / "toy.int8.tflite"),
        *("--input", files / "q.npy", "--output", files / "y.npy"),
    )
    assert code == 0
    y = np.load(files / "y.npy")
    assert y.dtype == np.int8
    np.testing.assert_allclose(y, x.mean(axis=(1, 2)), atol=0.5)


@pytest.fixture
def two(files):
    """A model of two inputs and two outputs, and a file for each input."""
    graph = GraphBuilder()
    a, b = graph.input("a", (1, 2)), graph.input("b=c", (1, 2))
    difference = graph.op("SUB", [a, b], (1, 2), output="difference")
    graph.output(difference, graph.op("MUL", [a, b], (1, 2), output="product"))
    (files / "two.tflite").write_bytes(graph.build())
    np.save(files / "a.npy", np.float32([[5, 7]]))
    np.save(files / "b=1.npy", np.float32([[2, 3]]))
    return files


@pytest.fixture
def run_two(assay, two, monkeypatch):
    """Run it, with file names as they are given, and return what was written."""
    monkeypatch.chdir(two)

    def call(*inputs, outputs=("difference.npy", "product.npy"), model="two.tflite"):
        given = [*(("--input", each) for each in inputs), *(("--output", each) for each in outputs)]
        code, _, err = assay("run", model, *(word for pair in given for word in pair))
        assert code == 0, err
        written = [name for name in ("difference", "product") if (two / f"{name}.npy").exists()]
        return {name: np.load(f"{name}.npy").tolist() for name in written}

    return call


BOTH = {"difference": [[3, 4]], "product": [[10, 21]]}


@pytest.mark.parametrize(
    "inputs",
    [
        ("a.npy", "b=1.npy"),  # by order
        ("b=c=b=1.npy", "a=a.npy"),  # by name
        ("1=b=1.npy", "0=a.npy"),  # by index
        ("b=c=./b=1.npy", "a.npy"),  # by order but for those that are named
    ],
)
def test_several_inputs_go_by_order_name_or_index(run_two, inputs):
    assert run_two(*inputs) == BOTH


def test_outputs_go_by_name_or_index_and_need_not_be_all(run_two, two):
    inputs = ("a.npy", "./b=1.npy")
    assert run_two(*inputs, outputs=["product=product.npy"]) == {"product": [[10, 21]]}
    assert run_two(*inputs, outputs=["1=product.npy", "difference.npy"]) == BOTH


def test_a_library_takes_the_names_of_its_model(assay, run_two, two):
    assert assay("compile", two / "two.tflite", "-o", two / "two.so", "--target", "llvm").code == 0
    inputs = ("b=c=b=1.npy", "a=a.npy")
    assert run_two(*inputs, outputs=["0=difference.npy"], model="two.so") == {
        "difference": [[3, 4]]
    }


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        (["x=a.npy", "b=1.npy"], ["0=y.npy"], "--input x=a.npy: two.tflite has no 'x'"),
        (["x=a.npy", "b=1.npy"], ["0=y.npy"], "only a, b=c; give NAME=FILE or INDEX=FILE"),
        (["2=a.npy", "b=1.npy"], ["0=y.npy"], "has no '2'"),
        (["a=a.npy", "0=a.npy"], ["0=y.npy"], "'a' has a.npy already; give each tensor one"),
        (["a=a.npy"], ["0=y.npy"], "two.tflite needs 2 --input file(s), but 1 are given"),
        (["a=no.npy", "b=1.npy"], ["0=y.npy"], "no.npy cannot be read (No such file"),
        (["a=x.npy", "b=1.npy"], ["0=y.npy"], "x.npy: input 'a' takes float32 of shape [1, 2]"),
        (["a.npy", "b=1.npy"], ["sum=y.npy"], "has no 'sum' there, only difference, product"),
        (["a.npy", "b=1.npy"], ["0=y.npy", "1=y.npy"], "give each tensor a file of its own"),
        (["a.npy", "b=1.npy"], ["0=/proc/y.npy"], "/proc/y.npy cannot be written"),
    ],
)
def test_what_names_no_tensor_or_no_file(refused, two, monkeypatch, inputs, outputs, words):
    monkeypatch.chdir(two)
    given = [("--input", each) for each in inputs] + [("--output", each) for each in outputs]
    assert words in refused("run", "two.tflite", *(word for pair in given for word in pair))
    assert not (two / "y.npy").exists()


def test_a_name_of_several_tensors_has_to_be_an_index(assay, refused, files, monkeypatch):
    graph = GraphBuilder()
    same = [graph.input("x", (1,)) for _ in range(2)]
    graph.output(graph.op("SUB", same, (1,)))
    (files / "same.tflite").write_bytes(graph.build())
    monkeypatch.chdir(files)
    np.save("x.npy", np.float32([3]))
    np.save("z.npy", np.float32([1]))
    command = ("run", "same.tflite", "--output", "y.npy", "--input", "1=x.npy", "--input")
    assert (
        "2 inputs of same.tflite are named 'x', 0 ('x'), 1 ('x'); give one by its index, 0"
        in refused(*command, "x=z.npy")
    )
    assert assay(*command, "0=z.npy").code == 0
    assert np.load("y.npy") == [-2]


@pytest.fixture
def signed(files, monkeypatch):
    """``sum`` and ``difference`` of two inputs, which two signatures name in opposite order."""
    monkeypatch.chdir(files)
    graph = GraphBuilder()
    a, b = graph.input("a", (1, 2)), graph.input("b", (1, 2))
    total = graph.op("ADD", [a, b], (1, 2), output="sum")
    difference = graph.op("SUB", [a, b], (1, 2), output="difference")
    graph.output(total, difference)
    graph.signature("forth", {"from": a, "less": b}, {"left": difference})
    graph.signature("back", {"from": b, "more": a}, {"all": total})
    (files / "signed.tflite").write_bytes(graph.build())
    np.save("five.npy", np.float32([[5, 5]]))
    np.save("three.npy", np.float32([[3, 3]]))
    return files


@pytest.mark.parametrize("suffix", ["tflite", "so"])
def test_names_of_signatures(assay, refused, signed, suffix):
    command = ("compile", "signed.tflite", "-o", "signed.so", "--target", "llvm", "--opt-level", 0)
    if suffix == "so":
        assert assay(*command).code == 0
    run = ("run", f"signed.{suffix}", "--output")
    files = ("--input", "more=five.npy", "--input", "less=three.npy")
    assert assay(*run, "left=y.npy", *files).code == 0
    assert np.load("y.npy").tolist() == [[2, 2]]
    given = ("--input", "from=five.npy", "--input", "three.npy")
    sentence = refused(*run, "left=y.npy", *given)
    assert (
        f"2 inputs of signed.{suffix} are named 'from', 0 ('a' in signature 'forth'), 1" in sentence
    )
    for key, wanted in (("forth", 2), ("back", -2)):
        assert assay(*run, "difference=y.npy", *given, "--signature", key).code == 0
        assert np.load("y.npy").tolist() == [[wanted, wanted]]
    other = refused(*run, "left=y.npy", *given, "--signature", "back")
    assert "has no 'left' there, only sum, all, difference; give" in other
    sentence = refused(*run, "left=y.npy", *given, "--signature", "sideways")
    assert "no signature 'sideways'" in sentence
    assert "give one of 'back', 'forth'" in sentence


def test_signatures_name_where_to_cut(assay, refused, signed):
    command = ("compile", "signed.tflite", "-o", "part.so", "--target", "llvm", "--opt-level", 0)
    assert assay(*command, "--outputs", "left").code == 0
    given = ("--input", "three.npy", "--input", "five.npy")
    text = assay("run", "part.so", *given, "--output", "left=y.npy").out
    assert "y.npy: difference float32[1, 2]" in text
    ends = ("--inputs", "from", "--inputs", "more")
    assert "2 tensors of signed.tflite are named 'from'" in refused(*command, *ends)
    assert assay(*command, *ends, "--signature", "back").code == 0
    assert assay("run", "part.so", *given, "--output", "1=y.npy").code == 0
    assert np.load("y.npy").tolist() == [[2, 2]]  # b was given first
    assert "name inputs or outputs, too" in refused(*command, "--signature", "back")


class TestRefused:
    @pytest.fixture
    def run(self, refused, files):
        def call(*options, model="toy.fp32.tflite", x="x.npy", y="y.npy"):
            (files / "y.npy").write_text("an earlier result")
            paths = ("--input", files / x, "--output", files / y)
            sentence = refused("run", files / model, *paths, *options)
            assert (files / "y.npy").read_text() == "an earlier result"
            return sentence

        return call

    @pytest.mark.parametrize("model", ["toy.fp32.tflite", "toy.so"])
    @pytest.mark.parametrize(
        ("array", "got"),
        [
            (np.zeros((1, 4, 4, 1), np.float32), "float32 of shape [1, 4, 4, 1]"),
            (np.zeros((4, 4, 3), np.float32), "float32 of shape [4, 4, 3]"),
            (np.zeros((2, 4, 4, 3), np.float32), "float32 of shape [2, 4, 4, 3]"),
            (np.zeros((1, 4, 4, 3)), "float64 of shape [1, 4, 4, 3]"),
            (np.zeros((1, 4, 4, 3), ">f4"), ">f4 of shape [1, 4, 4, 3]"),
            (np.zeros((1, 4, 4, 3), np.uint8), "uint8 of shape [1, 4, 4, 3]"),
            (np.zeros((1, 4, 4, 3), "U3"), "<U3 of shape [1, 4, 4, 3]"),
            (np.float32(0), "float32 of shape []"),
        ],
    )
    def test_an_array_of_another_shape_or_type(self, run, files, library, model, array, got):
        np.save(files / "wrong.npy", array)
        sentence = run(model=model, x="wrong.npy")
        assert sentence.startswith(f"{files}/wrong.npy: input 'x' takes float32 of shape [1, 4, 4")
        assert f"got {got}" in sentence

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("text.npy", b"1 2 3\n"),
            ("empty.npy", b""),
            ("cut.npy", b"\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape'"),
            ("pickle.npy", b"\x80\4K\1."),
        ],
    )
    def test_a_file_that_holds_no_array(self, run, files, name, data):
        (files / name).write_bytes(data)
        assert run(x=name).startswith(f"{files}/{name} is not a .npy file of numbers")

    def test_an_array_that_claims_more_than_there_is(self, run, files):
        np.save(files / "cut.npy", np.zeros((100, 100), np.float32))
        data = (files / "cut.npy").read_bytes()
        (files / "cut.npy").write_bytes(data[:200])
        assert "cut.npy" in run(x="cut.npy")
        (files / "cut.npy").write_bytes(data[:200].replace(b"(100, 100), ", b"(10**19,),  "))
        assert "cut.npy" in run(x="cut.npy")
        (files / "cut.npy").write_bytes(data.replace(b"(100, 100), ", b"(1<<50, 1), "))
        assert "cut.npy" in run(x="cut.npy")
        (files / "cut.npy").write_bytes(data[:200].replace(b"(100, 100), ", b"(99999999,) "))
        assert "cut.npy" in run(x="cut.npy")

    def test_arrays_of_objects(self, run, files):
        np.save(files / "objects.npy", np.array([{}, []], dtype=object))
        assert "objects.npy" in run(x="objects.npy")

    def test_several_arrays_in_one_file(self, run):
        assert "holds several arrays" in run(x="toy.npz")

    def test_a_missing_file(self, run):
        assert "none.npy cannot be read (No such file" in run(x="none.npy")
        assert "none.tflite" in run(model="none.tflite")
        assert "none.so: no such compiled library" in run(model="none.so")

    def test_too_few_files(self, run, files):
        sentence = run("--input", files / "x.npy")
        assert "toy.fp32.tflite needs 1 --input file(s), but 2 are given" in sentence
        sentence = run("--output", files / "z.npy")
        assert "needs 1 --output file(s), but 2 are given" in sentence

    @pytest.mark.parametrize("path", ["x.npy/y.npy", "/proc/y.npy"])
    def test_an_output_that_cannot_be_written(self, run, path):
        assert "cannot be written" in run(y=path, model="none.tflite")

    def test_no_thread(self, run):
        assert "threads" in run("--threads", 0)

    def test_an_unknown_runtime(self, run):
        sentence = run("--runtime", "relay")
        assert "no runtime is named 'relay'" in sentence
        assert "litert" in sentence

    def test_a_file_of_no_known_kind(self, run, files):
        (files / "model.h5").write_bytes(b"\x89HDF\r\n")
        assert "model.h5: give a .so, .tflite or .onnx file" in run(model="model.h5")

    def test_a_library_without_its_manifest(self, run, files, library):
        (files / "toy.so.json").unlink()
        assert "toy.so: its manifest toy.so.json is missing" in run(model="toy.so")

    def test_a_library_for_another_machine(self, assay, run, files):
        target = "llvm -mtriple=riscv64-linux-gnu -mcpu=generic-rv64"
        command = ("compile", files / "toy.fp32.tflite", "-o", files / "risc.so")
        assert assay(*command, "--target", target).code == 0
        assert "risc.so: cannot run here, as it is for riscv64" in run(model="risc.so")


def test_onnx_without_its_package(files):
    """The package is hidden from a process of its own, as if it were not installed."""
    relu = onnx_builder.node("Relu", ["x"], ["y"])
    given, result = [("x", "float32", [1, 2])], [("y", "float32", [1, 2])]
    (files / "model.onnx").write_bytes(onnx_builder.model([relu], given, result))
    hidden = files / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys; sys.modules['onnxruntime'] = None")
    paths = ("--input", files / "x.npy", "--output", files / "y.npy")
    done = subprocess.run(
        assay_command("run", files / "model.onnx", *paths),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(hidden)},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("assay: ")
    assert done.stderr.count("\n") == 1
    assert "assay[peers]" in done.stderr


@pytest.mark.parametrize("how", ["option", "variable"])
def test_debugging_shows_the_traceback(files, how):
    paths = ("--input", files / "none.npy", "--output", files / "y.npy")
    command = ["run", files / "toy.fp32.tflite", *paths]
    done = subprocess.run(
        assay_command(*(["--debug"] if how == "option" else []), *command),
        capture_output=True,
        text=True,
        env={**os.environ, **({"ASSAY_DEBUG": "1"} if how == "variable" else {})},
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "none.npy cannot be read" in done.stderr
