import numpy as np
import pytest

from assay.compiler.kernels.int8 import lookup
from assay.compiler.kernels.int8.lookup import Lookup
from tests.compiler.kernels.int8.harness import (
    ARM_SDOT,
    AVX2,
    TARGETS,
    X86,
    assembly,
    isa,
    run,
    stored,
)

VBMI = f"{X86} -mcpu=icelake-server"


def check(shape, text, parallel=1):
    rng = np.random.default_rng(0)
    x, table = stored(rng, *shape), stored(rng, 256)
    x.reshape(-1)[:256] = np.arange(256)[: x.size]
    problem = Lookup(shape)
    assert lookup.applicable(problem)
    function = lookup.generate(problem, isa(text), "kernel", parallel)
    packed = lookup.pack(problem, isa(text), table)
    np.testing.assert_array_equal(run(function, text, [x, packed], shape), table[x])
    return function


@pytest.mark.parametrize("text", TARGETS)
@pytest.mark.parametrize("shape", [(1,), (15,), (16,), (17, 1), (7, 9, 13), (4, 256)], ids=str)
def test_every_value_is_looked_up(text, shape):
    check(shape, text)


def test_threads_share_large_tensors():
    assert "T.parallel" in check((500, 1001), AVX2, 3).script()


@pytest.mark.parametrize(
    ("text", "instruction"), [(AVX2, "vpshufb"), (ARM_SDOT, "tbx"), (VBMI, "vpermt2b")]
)
def test_many_entries_are_looked_up_at_once(text, instruction):
    code = assembly(lookup.generate(Lookup((100,)), isa(text), "kernel"), text)
    assert f"\t{instruction}\t" in code
