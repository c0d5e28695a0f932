"""The code of :mod:`assay.compiler.team` as functions of a module."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx
from tvm.ir import GlobalVar, PointerType, PrimType

from assay.compiler.entry_names import BARE
from assay.compiler.team import CLAIM, FINISH, team_code


def team_functions(arch: str, attrs: Any) -> dict[Any, Any]:
    """Return functions for any part of a library to call, by variable: ``CLAIM`` and ``FINISH``.

    Their names end with ``BARE``, and they write their result to where a last argument points, as
    those that TVM makes return nothing but 0. A copy of their code in each step of an inference
    would take LLVM long.
    """
    made = {}
    code = tvm.ir.StringImm(team_code(arch))
    for name, numbers in ((CLAIM, ("own", "shares")), (FINISH, ("share", "own", "shares"))):
        parameters = [tirx.Var(each, "uint64") for each in ("team", "step")]
        parameters += [tirx.Var(each, "int32") for each in numbers]
        pointer = tirx.Var("pointer", PointerType(PrimType("int32")))
        result = tirx.decl_buffer((1,), "int32", "result")
        called = tirx.BufferStore(result, tirx.call_extern("int32", name, *parameters), [0])
        called = tirx.AttrStmt(tvm.ir.StringImm("default"), "pragma_import_llvm", code, called)
        view, end = tirx.DeclBuffer(result, data=pointer), tirx.Return(tirx.IntImm("int32", 0))
        body = tirx.SeqStmt([view, called, end])
        function = tirx.PrimFunc(
            [*parameters, pointer], body, ret_type=PrimType("int32"), attrs=attrs
        )
        made[GlobalVar(f"{name}{BARE}")] = function
    return made
