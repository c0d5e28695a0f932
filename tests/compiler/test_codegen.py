"""Code in parts: which functions are together, and that a library is the same as in one part."""

from __future__ import annotations

import numpy as np
import pytest

import assay
from assay.compiler import codegen
from assay.compiler.codegen import share_out
from assay.compiler.entry_names import BARE, ENTRY
from assay.compiler.kernels import work
from assay.runtimes.tvm import open_build, open_tvm
from tests.builder import GraphBuilder
from tests.compiler.test_static_entry import small_network

_SECTION_FIELDS = ((4, 4), (24, 8), (32, 8), (40, 4))  # type, offset, size, link


def test_parts_are_about_equal_and_do_not_depend_on_the_order():
    statements = {f"f{index}": 100 + 37 * index % 900 for index in range(60)}
    parts = share_out(statements)
    assert sorted(name for part in parts for name in part) == sorted(statements)
    sizes = [sum(statements[name] for name in part) for part in parts]
    assert max(sizes) - min(sizes) <= max(statements.values())
    assert share_out(dict(reversed(statements.items()))) == parts


def test_little_code_is_one_part():
    assert share_out({"a": 3, "b": 400}) == [["b", "a"]]
    assert share_out({"nothing": 0}) == [["nothing"]]


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Return what compiles a network of kernels that threads share out, in parts of a size."""
    monkeypatch.setattr(work, "WORTH_SPLITTING_US", 0)
    path = tmp_path / "model.tflite"
    path.write_bytes(small_network().build())

    def build(part_statements, **choices):
        monkeypatch.setattr(codegen, "_PART_STATEMENTS", part_statements)
        return assay.compile(path, **choices)

    return build


@pytest.mark.parametrize("threads", [1, 2])
def test_parts_call_each_other_as_one_would(threads, network):
    whole, parts = network(10**9), network(1)
    assert len(parts.executable._parts) == 3
    assert not whole.executable._parts
    runtimes = [open_build(build, threads) for build in (whole, parts)]
    machine = open_build(parts, threads, entry="vm")
    value = np.random.default_rng(3).normal(0, 1, (1, 9, 7, 6)).astype(np.float32)
    expected = runtimes[0](value)
    assert runtimes[1].ahead_of_time
    np.testing.assert_array_equal(runtimes[1](value), expected)
    np.testing.assert_array_equal(machine(value), expected)


def exported(library: bytes) -> list[str]:
    """Return the names in an ELF file's table for the dynamic loader (section type 11: DYNSYM)."""
    start, size, count = (
        int.from_bytes(library[at : at + n], "little") for at, n in ((40, 8), (58, 2), (60, 2))
    )
    sections = [
        [int.from_bytes(library[at + o : at + o + n], "little") for o, n in _SECTION_FIELDS]
        for at in range(start, start + size * count, size)
    ]
    (_, offset, length, link) = next(each for each in sections if each[0] == 11)
    strings = sections[link][1]
    names = []
    for at in range(offset, offset + length, 24):
        begin = strings + int.from_bytes(library[at : at + 4], "little")
        names.append(library[begin : library.index(b"\0", begin)].decode())
    return names


@pytest.mark.parametrize("target", ["native", "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"])
def test_the_same_library_each_time_with_nothing_of_the_parts_to_see(target, network):
    one, other = (network(1, target=target) for _ in range(2))
    assert one.executable.library == other.executable.library
    table = exported(one.executable.library)
    assert f"__tvm_ffi_{ENTRY}" in table
    assert not [name for name in table if name.endswith(BARE)]


def test_a_network_without_kernels_is_a_library_too(tmp_path):
    graph = GraphBuilder()
    x = graph.input("x", (3, 4))
    graph.output(x)
    (tmp_path / "model.tflite").write_bytes(graph.build())
    build = assay.compile(tmp_path / "model.tflite")
    assert not build.manifest.kernels
    build.save(tmp_path / "model.so")
    value = np.arange(12, dtype=np.float32).reshape(3, 4)
    for runtime in (open_build(build), open_tvm(tmp_path / "model.so")):
        np.testing.assert_array_equal(runtime(value), value)
