import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.compiler.kernels.epilogue import Epilogue, bias
from assay.compiler.kernels.int8 import dense
from assay.compiler.kernels.int8.problem import QuantizedDense
from assay.compiler.kernels.problem import Dense
from tests.compiler.kernels.int8.cases import ADDITION, TARGET, check
from tests.compiler.kernels.int8.harness import ARM_SDOT, MAIN_TARGETS, assembly, isa


def layer(leading, inputs, outputs, **fields):
    return QuantizedDense(Dense(leading, inputs, outputs), 7, TARGET, **fields)


CASES = {
    "vector": layer((1,), 37, 10),
    "vector, few outputs": layer((1,), 64, 2),
    "vector, wide": layer((1,), 260, 1001),
    "less than a step": layer((5,), 3, 2, weights_zero_point=100, addition=ADDITION),
    "matrix": layer((50,), 64, 96),
    "leading dimensions": layer((3, 7), 131, 37, weights_zero_point=-5, addition=ADDITION),
    "more panels than rows": layer((2,), 16, 300),
}


@pytest.mark.parametrize("text", MAIN_TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_every_byte_is_as_the_arithmetic_says(text, case):
    check(dense, CASES[case], text)


@pytest.mark.parametrize("parallel", [2, 3])
@pytest.mark.parametrize("rows", [1, 200])
def test_threads_share_panels_or_rows(rows, parallel):
    problem = layer((rows,), 700, 512, weights_zero_point=3)
    assert "T.parallel" in dense.generate(problem, isa("native"), "kernel", parallel).script()
    check(dense, problem, "native", parallel)


def test_it_compiles_for_arm():
    assert "sdot" in assembly(dense.generate(CASES["matrix"], isa(ARM_SDOT), "kernel"), ARM_SDOT)


def test_float_epilogues_are_refused():
    with pytest.raises(ValueError, match="no epilogue"):
        QuantizedDense(Dense((1,), 3, 3, epilogue=Epilogue((bias(),))), 0, TARGET)


@pytest.mark.skipif(sys.platform == "win32", reason="protects pages with mprotect")
def test_nothing_is_read_past_the_end_of_a_tensor():
    root = Path(__file__).resolve().parents[4]
    script = Path(__file__).with_name("guard_pages.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run([sys.executable, str(script)], env=environment, check=False)
    assert done.returncode == 0, "a read beyond the tensor ends the process"
