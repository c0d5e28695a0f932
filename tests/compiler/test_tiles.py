"""Matrix tiles: whether this machine has them, and the permission that Linux wants asked for."""

from __future__ import annotations

import ctypes
import errno
import subprocess
import sys

import pytest

import assay
from assay.compiler import target, tiles
from assay.compiler.tiles import allow_tiles, tiles_offered
from assay.data import DIGITS_FP32, DIGITS_INT8
from assay.errors import ArtifactError
from assay.runtimes.tvm import open_build, open_tvm

SAPPHIRE_RAPIDS = "llvm -mtriple=x86_64-linux-gnu -mcpu=sapphirerapids"
ALL = 1 << 17 | 1 << 18  # configuration and data of tiles

PERMITTED = """
import ctypes
def permitted():
    state = ctypes.c_uint64()
    assert ctypes.CDLL(None).syscall(158, ctypes.c_long(0x1022), ctypes.byref(state)) == 0
    return bool(state.value >> 18 & 1)
"""


def root(folder, flags):
    (folder / "proc").mkdir()
    (folder / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    return folder


@pytest.mark.parametrize(
    ("flags", "supported", "offered"),
    [
        ("avx2 amx_bf16 amx_tile amx_int8", ALL, True),
        ("avx2 amx_bf16 amx_tile", ALL, False),  # of bfloat16 alone
        ("avx2", ALL, False),  # hidden by a virtual machine
        ("avx2 amx_bf16 amx_tile amx_int8", 0x2E7, False),  # Linux without them
        ("avx2 amx_bf16 amx_tile amx_int8", 0, False),  # or without the question
    ],
)
def test_cpu_and_kernel_have_to_offer_tiles(tmp_path, monkeypatch, flags, supported, offered):
    monkeypatch.setattr(tiles, "_supported", lambda: supported)
    assert tiles_offered(root(tmp_path, flags)) is offered


def test_a_machine_that_tells_nothing_offers_none(tmp_path):
    assert not tiles_offered(tmp_path)


def test_a_machine_without_tiles_compiles_for_one_that_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr(target, "tiles_offered", lambda: False)
    monkeypatch.setattr(tiles, "_arch_prctl", lambda request, argument: errno.EINVAL)
    build = assay.compile(DIGITS_INT8, target=SAPPHIRE_RAPIDS)
    build.save(tmp_path / "digits.so")
    (needs,) = build.manifest.needs
    assert needs.tiles
    assert any(remark.id == "isa/above-host" for remark in build.remarks)
    with pytest.raises(ArtifactError, match=r"digits\.so: cannot run here"):
        open_tvm(tmp_path / "digits.so")


@pytest.mark.parametrize(
    ("model", "level", "uses"),
    [(DIGITS_INT8, 3, {"amx-tile", "amx-int8"}), (DIGITS_INT8, 1, set()), (DIGITS_FP32, 2, set())],
)
def test_a_build_needs_the_tiles_that_its_kernels_use(tmp_path, monkeypatch, model, level, uses):
    monkeypatch.setattr(target, "tiles_offered", frozenset)
    built = assay.compile(model, target=SAPPHIRE_RAPIDS, opt_level=level)
    (needs,) = built.manifest.needs
    assert {name for name in needs.features if name.startswith("amx")} == uses
    assert needs.tiles is bool(uses)
    assert {name for kernel in built.manifest.kernels for name in kernel.uses} == uses
    native = target.resolve_target("native").isa
    if native.arch == "x86_64" and native.dot == "vnni512":  # but for tiles, as good as it
        assert any(remark.id == "isa/above-host" for remark in built.remarks) is bool(uses)


def test_who_gets_no_permission_reads_what_to_do(monkeypatch):
    monkeypatch.setattr(tiles, "_arch_prctl", lambda request, argument: errno.ENOSPC)
    with pytest.raises(ArtifactError) as refused:
        allow_tiles("model.so")
    message = str(refused.value)
    assert message.startswith("model.so: cannot run here, as Linux gives this process no matrix")
    assert "No space left on device" in message
    assert message.endswith("compile it for a target with -mattr=-amx-tile")
    assert "\n" not in message


def test_an_unknown_part_of_the_state_is_refused():
    if not tiles_offered():
        pytest.skip("this machine has no matrix tiles")
    assert tiles._arch_prctl(0x1023, ctypes.c_ulong(63)) == errno.EINVAL


def test_loading_a_library_with_tiles_asks_for_them(tmp_path):
    if not tiles_offered():
        pytest.skip("this machine has no matrix tiles")
    assay.compile(DIGITS_INT8).save(tmp_path / "tiles.so")
    assay.compile(DIGITS_INT8, target="llvm -mcpu=x86-64-v4").save(tmp_path / "vectors.so")
    script = f"""{PERMITTED}
import os, assay
assert not permitted()
assay.load({str(tmp_path / "vectors.so")!r})
assert not permitted()
assay.load({str(tmp_path / "tiles.so")!r}).run()
assert permitted()
child = os.fork()
if child == 0:
    os._exit(permitted())
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_build_without_permission_is_not_run(tmp_path, monkeypatch):
    if not tiles_offered():
        pytest.skip("this machine has no matrix tiles")
    build = assay.compile(DIGITS_INT8)
    build.save(tmp_path / "digits.so")
    monkeypatch.setattr(tiles, "_arch_prctl", lambda request, argument: errno.EPERM)
    with pytest.raises(ArtifactError, match=r"no matrix tiles .* -mattr=-amx-tile"):
        open_build(build)
    with pytest.raises(ArtifactError, match=r"digits\.so: cannot run here"):
        open_tvm(tmp_path / "digits.so")
    open_build(assay.compile(DIGITS_INT8, target="llvm -mcpu=x86-64-v4"))
