"""Which share of a step a thread is given, and how kernels are cut into shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import tirx

from assay.compiler.kernel_shares import shared_body
from assay.compiler.kernels.builder import KernelBuilder
from assay.compiler.target import resolve_target
from assay.compiler.team import CLAIM, FINISH, TEAM_STRIDE, team_code


def function(name: str, arguments: int, target: Any, arch: str) -> Any:
    """Return a function that calls one of the team's: table of arguments, the result last."""
    table = tirx.decl_buffer((arguments + 1,), "int64", "table")
    values = [tirx.BufferLoad(table, [i]) for i in range(arguments)]
    narrow = [value if i < 2 else value.astype("int32") for i, value in enumerate(values)]
    result = tirx.call_extern("int32", name, *narrow).astype("int64")
    body = tirx.BufferStore(table, result, [arguments])
    code = tvm.ir.StringImm(team_code(arch))
    body = tirx.AttrStmt(tvm.ir.StringImm("default"), "pragma_import_llvm", code, body)
    made = tirx.PrimFunc([table], body).with_attrs({"global_symbol": "f", "target": target})
    return tvm.tirx.build(tvm.IRModule({"f": made}), target)


class Team:
    """Claims and finishes shares of steps from Python."""

    def __init__(self, shares: int) -> None:
        resolved = resolve_target("native")
        target, arch = resolved.tvm(), resolved.isa.arch
        self._claim = function(CLAIM, 4, target, arch)
        self._finish = function(FINISH, 5, target, arch)
        self._shares = shares
        room = np.zeros(shares * TEAM_STRIDE // 8 + 8, np.uint64)
        self._memory = room[-room.ctypes.data % 64 // 8 :]

    def claim(self, step: int, own: int) -> int:
        return self._call(self._claim, step, own, self._shares)

    def finish(self, step: int, share: int, own: int) -> int:
        return self._call(self._finish, step, share, own, self._shares)

    def set_done(self, step: int, share: int) -> None:
        self._memory[share * TEAM_STRIDE // 8] = 2 * step

    def _call(self, called: Any, *values: int) -> int:
        table = tvm.runtime.tensor(np.array([self._memory.ctypes.data, *values, 99], np.int64))
        called["f"](table)
        return int(table.numpy()[-1])


def test_each_share_goes_to_its_thread():
    team = Team(2)
    assert [team.claim(1, 1), team.claim(1, 0)] == [1, 0]
    team.set_done(1, 1)  # or the first would wait for the second
    assert team.finish(1, 0, 0) == -1


def test_shares_of_threads_that_do_not_come_go_to_one_that_waits():
    team = Team(3)
    assert team.claim(5, 1) == 1
    assert team.finish(5, 1, 1) == 0
    assert team.finish(5, 0, 1) == 2
    assert team.finish(5, 2, 1) == -1
    assert [team.claim(5, thread) for thread in range(3)] == [-1, -1, -1]
    assert team.claim(6, 2) == 2


def test_a_thread_without_a_share_helps_or_goes_on():
    team = Team(1)
    assert team.claim(1, 3) == 0
    assert team.finish(1, 0, 3) == -1
    assert team.claim(1, 0) == -1


@pytest.mark.parametrize("triple", ["aarch64-linux-gnu", "riscv64-linux-gnu"])
def test_other_machines(triple):
    target = tvm.target.Target({"kind": "llvm", "mtriple": triple})
    made = function(CLAIM, 4, target, triple.split("-")[0])
    assert "isb" in made.inspect_source("asm") or "aarch64" not in triple


def parallel_loops(count: int, extent: int = 5) -> Any:
    b = KernelBuilder()
    output = b.parameter("output", (count * extent,))
    for part in range(count):
        with b.parallel(extent) as index:
            b.store(output, part * extent + index, tirx.FloatImm("float32", 1.0))
    return b.function("kernel").body.block.body


def test_kernels_of_unknown_authors_are_cut_only_if_they_are_one_loop():
    one, two = parallel_loops(1), parallel_loops(2)
    assert shared_body(one, independent=False).most == 5
    kept = shared_body(two, independent=False)
    assert kept.launches
    assert kept.most == 1
    assert kept.body.same_as(two)
    assert shared_body(two, independent=True).most == 5
    assert not shared_body(two, independent=True).launches
