from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.errors import ConfigError
from assay.runtimes.registry import open_runtime, runtime_names

BUILT_IN = ("litert", "onnxruntime", "openvino", "stock", "tvm")

ECHO = """
import numpy as np
from assay.model.spec import TensorSpec
from assay.runtimes.base import BaseRuntime

class Echo(BaseRuntime):
    name = "echo"
    inputs = outputs = (TensorSpec("x", (1,), "float32"),)
    def __init__(self, path, threads):
        self.path, self.threads = path, threads
    def run(self): pass
    def _write(self, index, value): self.value = value.copy()
    def _read(self, index): return self.value.copy()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch):
    """Make a package that is installed as far as Python can tell, with one entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(package: str, entry_point: str) -> None:
        facts = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[assay.runtimes]\n{entry_point}\n")

    (tmp_path / "echo_runtime.py").write_text(ECHO)
    yield write
    sys.modules.pop("echo_runtime", None)


def test_the_built_in_runtimes_are_listed():
    assert runtime_names() == BUILT_IN


def test_listing_imports_nothing_heavy():
    heavy = ("numpy", "tvm", "ai_edge_litert", "onnxruntime", "openvino", "tflite")
    script = (
        "import sys; from assay.runtimes.registry import runtime_names; runtime_names(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_runtime_opens_by_name(save, several):
    runtime = open_runtime("litert", save(several), threads=2)
    assert (runtime.name, runtime.threads) == ("litert", 2)
    value = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(runtime(value, value, value)[0], np.zeros((1, 3)))


def test_another_package_can_bring_a_runtime(install):
    install("assay-echo", "echo = echo_runtime:Echo")
    assert runtime_names() == tuple(sorted((*BUILT_IN, "echo")))
    runtime = open_runtime("echo", "model.any", threads=3)
    assert (runtime.path, runtime.threads) == ("model.any", 3)
    np.testing.assert_array_equal(runtime(np.array([4.0], np.float32)), [4.0])


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="'lite': there are litert, onnxruntime, openvino"):
        open_runtime("lite", "model.tflite")


def test_two_packages_with_one_name_clash(install):
    install("assay-echo", "litert = echo_runtime:Echo")
    with pytest.raises(ConfigError, match=r"named 'litert', .*assay-echo.*uninstall one") as caught:
        open_runtime("tvm", "model.tflite")
    assert "assay," in str(caught.value) or "and assay:" in str(caught.value)
    with pytest.raises(ConfigError, match="'litert'"):
        runtime_names()
