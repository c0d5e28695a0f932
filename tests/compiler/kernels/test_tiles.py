import pytest

from assay.compiler.kernels.tiles import (
    choose_tile,
    registers_needed,
    steps_per_turn,
    steps_that_fit,
    tile_cycles,
)
from tests.compiler.kernels.harness import ARM, AVX2, SSE2, isa

AVX512 = f"{SSE2} -mcpu=skylake-avx512"


@pytest.mark.parametrize("text", [SSE2, AVX2, AVX512, ARM])
@pytest.mark.parametrize("rows", [1, 2, 7, 49, 3136])
@pytest.mark.parametrize("columns", [1, 5, 24, 160, 1280])
def test_the_tile_fits_the_registers(text, rows, columns):
    tile = choose_tile(isa(text), rows, columns, 64)
    assert registers_needed(isa(text), tile.rows, tile.vectors) <= isa(text).registers
    assert 1 <= tile.rows <= rows
    assert tile.vectors <= -(-columns // min(isa(text).lanes(), columns)) + 1


@pytest.mark.parametrize("text", [AVX2, AVX512, ARM])
def test_large_products_get_tiles_that_hide_latency_and_loads(text):
    tile = choose_tile(isa(text), 3136, 256, 64)
    assert tile.rows * tile.vectors >= 10
    assert tile.rows + tile.vectors < tile.rows * tile.vectors


def test_a_single_row_gets_a_wide_panel():
    assert choose_tile(isa(AVX512), 1, 1024, 16).vectors == 8


def test_a_single_vector_of_columns_gets_many_rows():
    assert choose_tile(isa(AVX512), 3136, 16, 64).rows >= 20


def test_the_peak_of_a_full_tile_is_two_multiply_adds_per_cycle():
    cycles = tile_cycles(isa(AVX512), 6, 4, depth=1000, panel_bytes=0)
    assert cycles == pytest.approx(6 * 4 * 1000 / 2, rel=0.01)


@pytest.mark.parametrize("columns", [32, 48, 64, 80, 128])
def test_several_vectors_leave_registers_for_what_is_loaded_ahead(columns):
    tile = choose_tile(isa(AVX512), 3136, columns, 128)
    assert tile.vectors > 1
    assert tile.rows * tile.vectors <= 24


@pytest.mark.parametrize(("text", "rows", "steps"), [(AVX2, 6, 2), (AVX512, 12, 1), (SSE2, 4, 1)])
def test_several_steps_of_depth_where_registers_suffice(text, rows, steps):
    assert steps_per_turn(isa(text), rows) == steps


@pytest.mark.parametrize(("depth", "steps"), [(30, 1), (32, 2), (33, 1), (96, 2), (1, 1)])
def test_steps_leave_a_loop_and_no_rest(depth, steps):
    assert steps_that_fit(2, depth) == steps
