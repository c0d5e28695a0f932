"""Kernels that say something about the machine, not about a model: made by TVM like all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax

from assay.compiler import tvm_api
from assay.compiler.codegen import build_executable, build_kernels
from assay.compiler.kernels.builder import KernelBuilder, constant
from assay.compiler.kernels.int8.dot import choose_dot
from assay.compiler.kernels.int8.matrix_tiles import (
    SUM_TILES,
    TILE_BYTES,
    TILE_COLUMNS,
    TILE_ROWS,
    TileKernelBuilder,
)
from assay.compiler.target import Isa, resolve_target
from assay.compiler.tiles import allow_tiles

_L1_STEPS = 8  # weights of these fit into the smallest L1 cache, 16 KiB with 512-bit vectors
_L1_TILES = 4  # of tiles for all sums: 16 KiB as well
_STREAMS = 8  # loads under way at once

IDLE = "idle"
"""Name of the kernel that does nothing but write one number."""


def idle_chain(calls: int, tensors: int) -> Any:
    """Return a loaded module whose ``main`` calls the idle kernel that many times in a row.

    Each call has ``tensors`` arguments of one float32, its result among them. ``main`` takes one
    such tensor.
    """
    target = resolve_target("native").tvm()
    b = KernelBuilder()
    parameters = [b.parameter(f"p{index}", (1,)) for index in range(tensors)]
    b.store(parameters[-1], 0, constant(0.0))
    builder = relax.BlockBuilder()
    kernel = builder.add_func(b.function(IDLE), IDLE)
    kind = relax.TensorType((1,), "float32")
    data = relax.Var("data", kind)
    with builder.function("main", [data]):
        with builder.dataflow():
            value = data
            for _ in range(calls):
                value = builder.emit(relax.call_tir(kernel, [value] * (tensors - 1), kind))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    mod = builder.get()
    with target:
        for lowering in tvm_api.lowering_passes(target):
            mod = lowering(mod)
        return build_executable(mod, target).jit()


@dataclass(frozen=True)
class PeakKernel:
    """A kernel that does one thing as fast as it can, and how much of it a run does.

    ``run`` takes ``inputs`` and the result: the function's parameters in this order, each a shape
    and a dtype. ``work`` counts operations, or bytes read.
    """

    function: Any
    parameters: tuple[tuple[tuple[int, ...], str], ...]
    work: int


def float_peak(isa: Isa, threads: int, turns: int) -> PeakKernel:
    """Multiply and add float32 vectors that stay in registers; a multiply-add is two operations.

    Enough sums are under way at once that none has to wait for its last addition.
    """
    lanes, rows = isa.lanes(), isa.registers * 3 // 4
    b = KernelBuilder()
    factors = b.parameter("factors", (2 * lanes,))
    output = b.parameter("output", (threads * lanes,))
    with b.parallel(threads) as thread:
        left, right = (b.let(b.load(factors, i * lanes, lanes)) for i in range(2))
        tile = b.registers(rows, [lanes])
        tile.clear()
        with b.serial(turns, tile):
            for row in range(rows):
                tile.put(row, 0, right + tile.get(row, 0) * left)
        tile.combine_rows(lambda one, other: one + other)
        b.store(output, thread * lanes, tile.get(0, 0), lanes)
    shapes = (((2 * lanes,), "float32"), ((threads * lanes,), "float32"))
    return PeakKernel(b.function("float_peak"), shapes, 2 * lanes * rows * turns * threads)


def integer_peak(isa: Isa, threads: int, turns: int) -> PeakKernel:
    """Multiply 8-bit values and add them up in 32 bits, with the fastest instruction of kernels.

    Weights come from the L1 cache, so that no product is the same in each turn.
    """
    return _tile_peak(threads, turns) if isa.tiles else _dot_peak(isa, threads, turns)


def _tile_peak(threads: int, turns: int) -> PeakKernel:
    """Multiply full matrix tiles: a turn loads a tile of inputs, and one of weights per product.

    Sums start as what the memory of results holds: some have to be loaded.
    """
    tile = TILE_ROWS * TILE_BYTES
    b = TileKernelBuilder()
    weights = b.parameter("weights", (_L1_TILES * SUM_TILES * tile,), "int8")
    data = b.parameter("data", (tile,), "uint8")
    results = TILE_ROWS * TILE_COLUMNS
    output = b.parameter("output", (threads * SUM_TILES * results,), "int32")
    with b.parallel(threads) as thread:
        first = b.let(thread * (SUM_TILES * results))
        b.configure_tiles(TILE_ROWS, TILE_BYTES)
        for each in range(SUM_TILES):
            b.load_sums(each, output, first)
        with b.serial(turns) as turn:
            b.load_left(data, 0, TILE_BYTES)
            start = b.let((turn % _L1_TILES) * (SUM_TILES * tile))
            for each in range(SUM_TILES):
                b.add_product(each, weights, start + each * tile, TILE_BYTES)
        for each in range(SUM_TILES):
            b.store_sums(each, output, first + each * results)
        b.release_tiles()
    shapes = (
        ((_L1_TILES * SUM_TILES * tile,), "int8"),
        ((tile,), "uint8"),
        ((threads * SUM_TILES * results,), "int32"),
    )
    work = 2 * TILE_ROWS * TILE_BYTES * TILE_COLUMNS * SUM_TILES * turns * threads
    return PeakKernel(b.function("integer_peak"), shapes, work)


def _dot_peak(isa: Isa, threads: int, turns: int) -> PeakKernel:
    """Multiply vectors."""
    dot, lanes, rows = choose_dot(isa), isa.lanes(), isa.registers // 2
    width = dot.taps * lanes
    kind = "int16" if dot.wide_weights else "int8"
    b = KernelBuilder()
    weights = b.parameter("weights", (_L1_STEPS * rows * width,), kind)
    data = b.parameter("data", (width,), dot.inputs)
    output = b.parameter("output", (threads * lanes,), "int32")
    with b.parallel(threads) as thread:
        inputs = b.let(b.load(data, 0, width))
        sums = [b.workspace("sum", lanes, "int32") for _ in range(rows)]
        for each in sums:
            b.store(each, 0, constant(0, lanes, "int32"), lanes)
        with b.serial(turns) as turn:
            for row, each in enumerate(sums):
                step = (turn % _L1_STEPS) * rows + row
                value = b.load(weights, step * width, width)
                b.store(each, 0, dot.add(b.load(each, 0, lanes), inputs, value, lanes), lanes)
        total = b.load(sums[0], 0, lanes)
        for each in sums[1:]:
            total = b.let(total + b.load(each, 0, lanes))
        b.store(output, thread * lanes, total, lanes)
    shapes = (
        ((_L1_STEPS * rows * width,), kind),
        ((width,), dot.inputs),
        ((threads * lanes,), "int32"),
    )
    return PeakKernel(b.function("integer_peak"), shapes, 2 * width * rows * turns * threads)


def read_peak(isa: Isa, threads: int, size_bytes: int, turns: int) -> PeakKernel:
    """Read ``size_bytes`` of memory in vectors, a contiguous part a thread, ``turns`` times."""
    lanes = isa.lanes()
    steps = max(1, size_bytes // (4 * lanes * _STREAMS * threads))
    elements = threads * steps * _STREAMS * lanes
    b = KernelBuilder()
    source = b.parameter("source", (elements,))
    output = b.parameter("output", (threads * lanes,))
    with b.parallel(threads) as thread:
        tile = b.registers(_STREAMS, [lanes])
        tile.clear()
        with b.serial(turns, tile), b.serial(steps, tile) as step:
            start = b.let((thread * steps + step) * (_STREAMS * lanes))
            for row in range(_STREAMS):
                tile.put(row, 0, tile.get(row, 0) + b.load(source, start + row * lanes, lanes))
        tile.combine_rows(lambda one, other: one + other)
        b.store(output, thread * lanes, tile.get(0, 0), lanes)
    shapes = (((elements,), "float32"), ((threads * lanes,), "float32"))
    return PeakKernel(b.function("read_peak"), shapes, 4 * elements * turns)


def build(kernel: PeakKernel) -> Any:
    """Compile a peak kernel for this machine; return it as a function of its tensors."""
    name = str(kernel.function.attrs["global_symbol"])
    target = resolve_target("native")
    if target.isa.tiles:
        allow_tiles(name)
    return build_kernels(tvm.IRModule({name: kernel.function}), target.tuned())[name]
