"""Constants behind the code of a library: where they lie, and that they are what was packed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from assay.compiler.aligned import ALIGNMENT
from assay.compiler.artifact import read_artifact
from assay.compiler.stored_constants import append, data_bytes, pack, read_data, unpack
from assay.errors import ArtifactError
from assay.runtimes.tvm import open_tvm
from tests.compiler.digits import built

RNG = np.random.default_rng(3)
ARRAYS = [
    RNG.normal(size=(3, 5)).astype(np.float32),
    RNG.integers(-128, 127, (7, 1, 9), np.int8),
    np.float16([[1.5], [-2]]),
    np.array(True),
    np.zeros((0, 4), np.int64),
    np.arange(24, dtype=np.int32).reshape(4, 6).T,
]


def test_what_was_packed_comes_back_from_a_file_of_odd_size(tmp_path):
    library = tmp_path / "model.so"
    library.write_bytes(b"code!")
    data, stored = pack(ARRAYS)
    append(library, data)
    assert library.stat().st_size == ALIGNMENT + data_bytes(stored)
    found = unpack(read_data(library, data_bytes(stored)), stored)
    for before, after in zip(ARRAYS, found, strict=True):
        np.testing.assert_array_equal(after, before)
        assert after.dtype == before.dtype
        assert after.ctypes.data % ALIGNMENT == 0


def test_no_constants_are_no_data(tmp_path):
    data, stored = pack([])
    assert (data.nbytes, stored, unpack(data, stored)) == (0, (), ())


def test_a_library_holds_its_constants_once(tmp_path):
    build = built("int8")
    build.save(tmp_path / "digits.so")
    manifest = read_artifact(tmp_path / "digits.so")
    largest = max(unpack(build.data, manifest.constants), key=lambda array: array.nbytes)
    assert (tmp_path / "digits.so").read_bytes().count(largest.tobytes()) == 1
    assert manifest.weights_bytes == sum(a.nbytes for a in unpack(build.data, manifest.constants))


def test_constants_that_do_not_fit_are_an_error(tmp_path):
    build = built("int8")
    first, *others = build.manifest.constants
    wrong = replace(first, offset=data_bytes(build.manifest.constants))
    manifest = replace(build.manifest, constants=(wrong, *others))
    replace(build, manifest=manifest).save(tmp_path / "digits.so")
    with pytest.raises(ArtifactError, match=r"digits\.so: cannot be loaded"):
        open_tvm(tmp_path / "digits.so")
