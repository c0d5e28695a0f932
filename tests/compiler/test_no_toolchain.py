"""No C compiler and no linker of the system is used, anywhere from model to inference."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import shutil, sys
import numpy as np
import assay
from assay.data import DIGITS_FP32
from assay.runtimes.tvm import open_tvm

for tool in ("cc", "c++", "gcc", "g++", "clang", "clang++", "ld", "ld.lld", "as", "python", "zig"):
    assert shutil.which(tool) is None, tool
path = sys.argv[1]
assay.compile(DIGITS_FP32).save(path)
print(open_tvm(path)(np.zeros((1, 96, 96, 3), np.float32)).shape)
"""


def test_export_and_load_with_an_empty_path(tmp_path):
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model.so")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 10)"
    assert (tmp_path / "model.so").is_file()
