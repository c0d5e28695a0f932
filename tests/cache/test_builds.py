"""Builds through the cache: the same library, told apart from one that was just made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.api import load
from assay.cache import builds
from assay.cache.builds import Compiled, compile_to
from assay.compiler.artifact import manifest_path, read_artifact
from assay.compiler.config import Config
from assay.errors import ModelError
from tests.lab import toy

CONFIG = Config(target="llvm")
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "toy.tflite"
    path.write_bytes(toy.float_model())
    return path


def entries() -> list[Path]:
    return sorted(Path(os.environ["ASSAY_CACHE"]).glob("*"))


def test_the_second_build_is_the_first_one(model, tmp_path):
    first, second = tmp_path / "first.so", tmp_path / "second.so"
    made = compile_to(first, model, CONFIG)
    assert (made.cached, made.problem) == (False, None)
    again = compile_to(second, model.rename(tmp_path / "renamed.tflite"), CONFIG)
    assert again.cached
    assert again.log == made.log
    assert again.manifest.compile_s == made.manifest.compile_s
    assert (made.manifest.model_name, again.manifest.model_name) == ("toy", "renamed")
    assert first.read_bytes() == second.read_bytes()
    assert read_artifact(second) == again.manifest
    x = toy.images(1)[0]
    np.testing.assert_allclose(load(second)(x), x.mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("name", ["model.so", "model.so.json", "build.log", "sums.json"])
def test_a_damaged_entry_is_built_again(model, tmp_path, name):
    library = tmp_path / "made.so"
    compile_to(library, model, CONFIG)
    (entry,) = entries()
    file = entry / name
    file.write_bytes(file.read_bytes()[:-3] + b"xyz")
    assert not compile_to(library, model, CONFIG).cached
    assert compile_to(library, model, CONFIG).cached
    assert read_artifact(library)


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "removed"])
def test_what_another_process_put_at_the_same_path_is_not_kept(
    model, tmp_path, monkeypatch, replaced
):
    library, compiled = tmp_path / "net.so", builds._compile

    def compile_beside_another(path: Path, *what: Any) -> Compiled:
        made = compiled(path, *what)
        if replaced:
            path.write_bytes(b"the build of another model")
            manifest_path(path).write_text("{}")
        else:
            path.unlink()
        return made

    with monkeypatch.context() as patch:
        patch.setattr(builds, "_compile", compile_beside_another)
        compile_to(library, model, CONFIG)
    assert not entries()


def test_a_model_that_was_damaged_since_is_refused(model, tmp_path):
    compile_to(tmp_path / "made.so", model, CONFIG)
    model.write_bytes(model.read_bytes()[:-9])
    with pytest.raises(ModelError):
        compile_to(tmp_path / "other.so", model, CONFIG)
    model.unlink()
    with pytest.raises(ModelError, match="does not exist"):
        compile_to(tmp_path / "other.so", model, CONFIG)


def test_a_cache_that_cannot_be_used_is_no_error(model, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file" / "cache"))
    done = compile_to(tmp_path / "made.so", model, CONFIG)
    assert not done.cached
    assert "cannot be written" in (done.problem or "")


def test_an_earlier_build_loads_no_compiler(model, tmp_path):
    compile_to(tmp_path / "made.so", model, CONFIG)
    script = f"""
import sys
from assay.cli.main import main
try:
    main(["compile", {str(model)!r}, "-o", {str(tmp_path / "again.so")!r}, "--target", "llvm"])
except SystemExit as end:
    assert not end.code
assert not {{"tvm", "tflite", "numpy"}} & sys.modules.keys(), sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.so").read_bytes() == (tmp_path / "made.so").read_bytes()
    assert json.loads(manifest_path(tmp_path / "again.so").read_text())["model_name"] == "toy"
