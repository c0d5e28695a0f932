"""Integer products ask for the next panel of large weights, and for what is added, ahead of use."""

import re
from dataclasses import replace

import pytest

from assay.compiler.kernels.int8 import conv2d
from tests.compiler.kernels.int8.cases import ADDITION, check, conv
from tests.compiler.kernels.int8.harness import SSE2, X86, isa

PANELS = conv(5, 5, 16, 128, 1)
CASES = {
    "weights": (PANELS, {"weights"}),
    "windows": (conv(5, 5, 16, 128, 3), {"weights"}),
    "weights and addend": (replace(PANELS, addition=ADDITION), {"weights", "addend"}),
    "one tile": (conv(1, 1, 16, 128, 1), set()),
}


NARROW, WIDE = SSE2, f"{X86} -mcpu=znver4"  # steps of half a cache line, and of whole ones


@pytest.mark.parametrize("case", CASES)
def test_large_weights_and_addends_are_asked_for(case):
    problem, expected = CASES[case]
    assert asked_for(problem, replace(isa(WIDE), l1_bytes=1024)) == expected
    assert asked_for(problem, replace(isa(WIDE), l1_bytes=2**20)) == expected - {"weights"}
    assert asked_for(problem, replace(isa(NARROW), l1_bytes=1024)) == expected - {"weights"}
    check(conv2d, problem, "native", machine=replace(isa("native"), l1_bytes=1024))


def asked_for(problem, machine):
    """Names of the parameters that a kernel prefetches."""
    kernel = str(conv2d.generate(problem, machine, "kernel"))
    return set(re.findall(r"T\.prefetch\(.*address_of\((\w+)_flat\[", kernel))
