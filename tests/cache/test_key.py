"""Everything that can change a build is in its key: each is changed, and the key with it."""

from __future__ import annotations

import ast
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.cache import key
from assay.cache.key import PACKAGES, hash_model, hash_source, ingredients, machine
from assay.compiler.config import Config
from tests.lab import toy

OTHER = {
    "target": "llvm -mcpu=core-avx2",
    "target_host": "llvm",
    "opt_level": 2,
    "layout": "nchw",
    "convert_ops": ("conv2d",),
    "precision": "float",
    "pipeline": "stock",
    "batch": 2,
    "inputs": ("x",),
    "outputs": ("scores",),
    "signature": "serving_default",
}

CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Some Xeon
stepping\t: 7
flags\t\t: fpu sse2 avx2

processor\t: 1
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "toy.tflite"
    path.write_bytes(toy.float_model())
    return path


def test_the_same_gives_the_same_key(model):
    assert ingredients(model, Config()).key == ingredients(model, Config()).key


def test_the_name_of_the_file_does_not_matter(model):
    first = ingredients(model, Config()).key
    assert ingredients(model.rename(model.with_name("other.tflite")), Config()).key == first


def test_a_byte_of_the_model(model):
    first = ingredients(model, Config()).key
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    assert ingredients(model, Config()).key != first


@pytest.mark.parametrize("name", [field.name for field in fields(Config)])
def test_each_choice(model, name):
    changed = replace(Config(), **{name: OTHER[name]})
    assert ingredients(model, changed).key != ingredients(model, Config()).key


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package(model, monkeypatch, package):
    first = ingredients(model, Config()).key
    before = key.version
    monkeypatch.setattr(
        key, "version", lambda name: before(name) + "+1" if name == package else before(name)
    )
    assert ingredients(model, Config()).key != first


@pytest.mark.parametrize("part", ["python", "arch", "system"])
def test_the_machine_is_in_the_key(model, part):
    found = ingredients(model, Config())
    changed = replace(found, machine={**found.machine, part: "other"})
    assert changed.key != found.key


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("avx2", "avx2 avx512f"),
        ("85", "86"),
        (": 6", ": 7"),
        (": 7", ": 8"),
        ("Some", "Other"),
        ("Genuine", "Other"),
    ],
)
def test_the_processor(tmp_path, before, after):
    texts = (CPUINFO, CPUINFO.replace(before, after, 1))
    found = []
    for number, text in enumerate(texts):
        root = tmp_path / str(number)
        (root / "proc").mkdir(parents=True)
        (root / "proc/cpuinfo").write_text(text)
        found.append(machine(root))
    assert found[0] != found[1]


def test_whether_the_kernel_hands_out_tiles(monkeypatch):
    found = []
    for offered in (False, True):
        monkeypatch.setattr(key, "tiles_offered", lambda root, offered=offered: offered)
        found.append(machine())
    assert found[0] != found[1]


def test_what_the_kernel_measures_anew_each_time_is_left_out():
    assert machine() == machine()
    assert not any("MHz" in name for name in machine())


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "compiler/pipeline.py").write_text("# changed"),
        lambda root: (root / "model/spec.py").unlink(),
        lambda root: (root / "compiler/new.py").touch(),
        lambda root: (root / "compiler/link.py").rename(root / "compiler/linking.py"),
    ],
)
def test_the_source_of_the_compiler(tmp_path, change):
    root = tmp_path / "assay"
    for room in ("compiler", "model"):
        shutil.copytree(Path(assay.__file__).parent / room, root / room)
    assert hash_source(root) == hash_source()
    change(root)
    assert hash_source(root) != hash_source()


def test_the_compiler_imports_no_code_that_the_key_leaves_out():
    package = Path(assay.__file__).parent
    for room in ("compiler", "model"):
        for file in (package / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("assay"):
                    inside = node.module.split(".")[1:2]
                    assert inside[0] in ("compiler", "model", "cpu", "errors", "files"), file


def test_the_hash_of_a_model_is_the_one_of_its_facts(model):
    assert hash_model(model) == assay.read(model).sha256


def test_external_data_of_an_onnx_model(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [weights],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    first = ingredients(path, Config()).key
    data = bytearray((tmp_path / "w.bin").read_bytes())
    data[1] ^= 1
    (tmp_path / "w.bin").write_bytes(data)
    assert ingredients(path, Config()).key != first
