"""Kernels as shares: every thread runs the whole kernel, but of its parallel loops only a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.tirx import ForKind


@dataclass(frozen=True)
class SharedBody:
    """A kernel's statements, with the turns of its parallel loops bound to a share of them.

    What is outside of these loops runs once for each share. ``most`` is how many shares find
    something to do. ``launches``: the kernel cannot be cut, and starts threads of its own.
    """

    body: Any
    share: Any
    shares: Any
    most: int = 1
    launches: bool = False


def shared_body(body: Any, independent: bool) -> SharedBody:
    """Return a kernel's statements with shares for parallel loops; inner ones become serial.

    ``independent``: the author vouches that no statement reads what a parallel loop before it
    wrote, and that those outside of such loops may run at the same time more than once (see
    ``KernelBuilder.parallel``). Other kernels are cut only if they are a single parallel loop.
    """
    sharer = _Sharer()
    shared = sharer.rewrite(body)
    if sharer.most > 1 and not (independent or _is_one_loop(body)):
        return SharedBody(body, sharer.share, sharer.shares, launches=True)
    return SharedBody(shared, sharer.share, sharer.shares, sharer.most)


def _is_one_loop(body: Any) -> bool:
    statements = list(body) if isinstance(body, tirx.SeqStmt) else [body]
    declarations = (tirx.AllocBuffer, tirx.DeclBuffer)
    work = [each for each in statements if not isinstance(each, declarations)]
    return len(work) == 1 and isinstance(work[0], tirx.For) and work[0].kind == ForKind.PARALLEL


class _Sharer:
    def __init__(self) -> None:
        self.share = tirx.Var("share", "int32")
        self.shares = tirx.Var("shares", "int32")
        self.most = 1
        self._inside = False

    def rewrite(self, body: Any) -> Any:
        return tvm_ffi.structural_mutate(body, (tirx.For, self._loop))

    def _loop(self, loop: Any, mutator: Any) -> Any:
        if loop.kind != ForKind.PARALLEL:
            return mutator.default_mutate(loop)
        first, extent = loop.min, loop.extent
        if not self._inside:
            self.most = max(self.most, int(extent))
            begin, end = self._cut(extent, self.share), self._cut(extent, self.share + 1)
            first, extent = first + begin, end - begin
        outer, self._inside = self._inside, True
        inner = self.rewrite(loop.body)
        self._inside = outer
        return tirx.For(loop.loop_var, first, extent, ForKind.SERIAL, inner, None, {})

    def _cut(self, extent: Any, share: Any) -> Any:
        """Return the first turn of a share, of ``extent`` turns dealt as evenly as they go."""
        return tirx.truncdiv(share * extent, self.shares)
