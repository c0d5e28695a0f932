"""Code is refused before the CPU meets an instruction that it lacks."""

from __future__ import annotations

import platform
import subprocess

import pytest

import assay
from assay.compiler.needs import FEATURES, Needs, needs_of
from assay.compiler.target import resolve_target
from assay.errors import ArtifactError
from assay.runtimes.host import obstacle
from assay.runtimes.tvm import open_build, open_tvm
from tests.lab.runs import assay_command

X86 = "llvm -mtriple=x86_64-linux-gnu"
ARM = "llvm -mtriple=aarch64-linux-gnu"
HASWELL = (
    "fpu cx8 cmov mmx fxsr sse sse2 pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt avx f16c "
    "lahf_lm abm bmi1 avx2 bmi2"
)
CORTEX_A72 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"


def of_target(target, *root):
    return obstacle(needs_of(resolve_target(target)), *root)


def machine(tmp_path, flags, key="flags", name="Test CPU"):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"model name\t: {name}\n{key}\t\t: {flags}\n")
    return tmp_path


@pytest.fixture
def haswell(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return machine(tmp_path, HASWELL)


@pytest.fixture
def cortex(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    return machine(tmp_path, CORTEX_A72, "Features")


@pytest.mark.parametrize("options", ["", "-mcpu=nehalem", "-mcpu=core-avx2", "-mcpu=x86-64-v3"])
def test_older_instruction_sets_run(haswell, options):
    assert of_target(f"{X86} {options}", haswell) is None


def test_features_that_only_intrinsics_reach_do_not_matter(haswell):
    # Skylake has CLFLUSHOPT, XSAVEC and more, which this CPU lacks and no kernel uses.
    assert of_target(f"{X86} -mcpu=skylake", haswell) is None


@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        ("-mcpu=x86-64-v4", "avx512bw, avx512cd, avx512dq, avx512f, avx512vl"),
        ("-mcpu=core-avx2 -mattr=+avxvnni", "avxvnni"),
        ("-mcpu=alderlake", "avxvnni, gfni"),
        ("-mattr=+avx512f", "avx512f"),
        ("-mcpu=bdver4", "fma4, sse4a, tbm, xop"),
        ("-mattr=+amx-int8", "amx-int8, amx-tile"),
    ],
)
def test_what_is_lacking_is_named(haswell, options, lacking):
    assert of_target(f"{X86} {options}", haswell) == f"this CPU, Test CPU, lacks {lacking}"


def test_a_feature_that_the_target_switches_off_is_not_needed(haswell):
    assert of_target(f"{X86} -mcpu=alderlake -mattr=-avxvnni,-gfni", haswell) is None


def test_a_virtual_machine_may_hide_tiles(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    names = FEATURES["x86_64"]
    needed = needs_of(resolve_target(f"{X86} -mcpu=sapphirerapids")).features
    flags = " ".join(names[name] for name in needed if not name.startswith("amx"))
    root = machine(tmp_path, flags)
    lacking = "this CPU, Test CPU, lacks amx-int8, amx-tile"
    assert of_target(f"{X86} -mcpu=sapphirerapids", root) == lacking
    assert of_target(f"{X86} -mcpu=sapphirerapids -mattr=-amx-tile", root) is None


def test_arm(cortex):
    assert of_target(f"{ARM} -mcpu=cortex-a72", cortex) is None
    lacking = "this CPU, Test CPU, lacks dotprod, fullfp16, lse, rcpc, rdm"
    assert of_target(f"{ARM} -mcpu=neoverse-n1", cortex) == lacking
    assert of_target(X86, cortex) == "it is for x86_64, and this machine is aarch64"


def test_a_kernel_that_tells_nothing_allows_everything(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert of_target(f"{X86} -mcpu=sapphirerapids", tmp_path) is None


def test_this_machine_runs_its_own_code():
    assert of_target("native") is None


@pytest.mark.parametrize("choices", [{"target": ARM}, {"target_host": ARM}])
def test_a_library_for_another_machine_compiles_but_is_not_run(tmp_path, save, doubling, choices):
    if platform.machine() in ("aarch64", "arm64"):
        pytest.skip("this is that machine")
    build = assay.compile(save(doubling), **choices)
    with pytest.raises(ArtifactError, match="is for aarch64") as refused:
        open_build(build)
    assert "\n" not in str(refused.value)
    build.save(tmp_path / "arm.so")
    with pytest.raises(ArtifactError, match=r"arm\.so: cannot run here, .* --target native"):
        open_tvm(tmp_path / "arm.so")


def test_a_library_with_instructions_that_this_cpu_lacks_is_not_run(tmp_path, save, doubling):
    if platform.machine() not in ("x86_64", "AMD64") or obstacle(Needs("x86_64", ("xop",))) is None:
        pytest.skip("XOP, which only AMD's CPUs of 2011 to 2015 have, is no obstacle here")
    build = assay.compile(save(doubling), target=f"{X86} -mcpu=bdver4")
    with pytest.raises(ArtifactError, match=r"lacks .*fma4, .*xop"):
        open_build(build)
    build.save(tmp_path / "bdver4.so")
    done = subprocess.run(
        assay_command("profile", tmp_path / "bdver4.so"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "xop" in done.stderr
