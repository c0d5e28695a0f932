from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import version

import pytest

from assay.compiler.target import Isa, resolve_target
from assay.timing import doctor
from assay.timing.doctor import Diagnosis, Row
from assay.timing.machine import machine_facts

AVX512 = Isa("znver5", "x86_64", 512, 32, True, "vnni512")
AVX512_FLAGS = frozenset(
    {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}
)
FACTS = {
    "cpu": "Some CPU",
    "arch": "x86_64",
    "virtual": False,
    "l1d_bytes": 49152,
    "l2_bytes": None,
    "l3_bytes": 2**25,
    "usable_cores": 4,
    "logical_cores": 8,
    "physical_cores": 4,
    "quota_cores": None,
    "load_average": [0.5, 9.0, 9.0],
    "governor": "performance",
}


def test_this_environment_is_usable():
    diagnosis = doctor.examine()
    rows = {row.subject: row for row in diagnosis.rows}
    assert diagnosis.usable
    assert len(rows) == len(diagnosis.rows)
    assert rows["apache-tvm"].value == version("apache-tvm")
    assert rows["TVM"].status == rows["Linker"].status == "ok"
    assert resolve_target("native").isa.name in rows["Instruction set"].value
    for row in diagnosis.rows:
        assert row.value
        assert "\n" not in row.value
        if row.status == "missing":
            assert row.fix


def test_only_what_is_not_optional_makes_it_unusable():
    fine, warning = Row("a", "ok", "1"), Row("b", "warning", "2")
    peer = Row("c", "missing", "not installed", optional=True)
    assert Diagnosis((fine, warning, peer)).usable
    assert not Diagnosis((fine, replace(peer, optional=False))).usable


def test_the_processor_is_named_with_its_caches():
    row = doctor.check_cpu(FACTS)
    assert (row.status, row.value) == ("ok", "Some CPU (x86_64; caches 48 KiB, ?, 32768 KiB)")
    assert "virtual" in doctor.check_cpu({**FACTS, "virtual": True}).value


def test_an_instruction_set_that_the_machine_has_is_fine():
    row = doctor.check_isa(AVX512, AVX512_FLAGS)
    assert row.status == "ok"
    assert row.value == "znver5: 32 vector registers of 512 bits, dot product vnni512"


def test_matrix_tiles_are_named_and_may_be_hidden():
    isa = replace(AVX512, tiles=True)
    row = doctor.check_isa(isa, AVX512_FLAGS | {"amx_tile", "amx_int8"})
    assert row.status == "ok"
    assert row.value.endswith(", dot product vnni512, matrix tiles")
    row = doctor.check_isa(isa, AVX512_FLAGS | {"amx_tile"})
    assert row.status == "warning"
    assert row.value.endswith(", matrix tiles, but this machine hides amx_int8")


def test_unknown_flags_hide_nothing():
    assert doctor.check_isa(AVX512, frozenset()).status == "ok"


@pytest.mark.parametrize(
    ("hidden", "portable"),
    [
        ({"avx512_vnni"}, "x86-64-v4"),
        ({"avx512f", "avx512_vnni"}, "x86-64-v3"),
        ({"avx2", "avx512f"}, "x86-64-v2"),
    ],
)
def test_a_machine_that_hides_features_gets_a_target_that_runs(hidden, portable):
    flags = AVX512_FLAGS - hidden
    row = doctor.check_isa(AVX512, flags)
    assert row.status == "warning"
    for feature in hidden:
        assert feature in row.value
    assert row.fix is not None
    target = row.fix.split("'")[1]
    assert target == f"llvm -mcpu={portable}"
    portable_isa = resolve_target(f"{target} -mtriple=x86_64-linux-gnu").isa
    again = doctor.check_isa(portable_isa, flags)
    assert again.value.startswith(f"{portable}: ")
    assert "hides" not in again.value


def test_an_arm_core_that_hides_dot_products():
    isa = Isa("cortex-a76", "aarch64", 128, 32, True, "sdot")
    assert doctor.check_isa(isa, frozenset({"asimd", "asimddp"})).status == "ok"
    row = doctor.check_isa(isa, frozenset({"asimd"}))
    assert "hides asimddp" in row.value
    assert row.fix == "compile with --target 'llvm -mcpu=generic'"


def test_a_cpu_that_llvm_knows_too_little_of():
    generic = Isa("generic", "x86_64", 128, 16, False, "none")
    known = doctor.check_isa(generic, frozenset({"sse2", "avx2", "fma"}))
    assert known.status == "warning"
    assert known.fix == "compile with --target 'llvm -mcpu=x86-64-v3'"
    old = doctor.check_isa(generic, frozenset({"sse2"}))
    assert (old.status, old.fix) == ("warning", None)


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("kill -SEGV $$", "dies of signal 11"),
        ("echo 'Traceback' >&2; echo 'ImportError: libz3' >&2; exit 1", "ImportError: libz3"),
        ("exit 3", "no message"),
    ],
)
def test_a_tvm_that_does_not_work_is_missing(tmp_path, body, finding):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)
    row = doctor.check_tvm(str(python))
    assert row.status == "missing"
    assert finding in row.value
    assert row.fix == f"pip install 'apache-tvm-ffi=={doctor.pinned('apache-tvm-ffi')}'"


def test_the_pin_is_the_one_of_assays_own_requirements():
    assert doctor.pinned("apache-tvm-ffi") == version("apache-tvm-ffi")
    assert doctor.pinned("numpy") is None
    assert doctor.pinned("onnxruntime") is None


def test_another_version_than_the_pinned_one_is_a_warning():
    row = doctor.check_package("apache-tvm-ffi", "0.1.15", "0.1.14.post1")
    assert row.status == "warning"
    assert row.value == "0.1.15, but assay needs 0.1.14.post1"
    assert row.fix == "pip install 'apache-tvm-ffi==0.1.14.post1'"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_peer_is_optional_and_its_extra_named(name):
    row = doctor.check_package(name, None)
    assert (row.status, row.optional) == ("missing", True)
    assert row.fix == "pip install 'assay[peers]'"


def test_a_package_that_assay_needs_is_not_optional():
    row = doctor.check_package("ai-edge-litert", None)
    assert (row.status, row.optional) == ("missing", False)
    assert row.fix is not None
    assert row.fix.startswith("pip install 'ai-edge-litert>=")


def test_without_ziglang_there_is_no_linker(monkeypatch):
    monkeypatch.setitem(sys.modules, "ziglang", None)
    row = doctor.check_linker()
    assert (row.status, row.optional) == ("missing", False)
    assert row.fix is not None
    assert row.fix.startswith("pip install 'ziglang>=")


def test_a_container_with_less_time_than_cores():
    assert doctor.check_cores(FACTS) == Row("Cores", "ok", "4 of 8, 4 physical")
    row = doctor.check_cores({**FACTS, "quota_cores": 0.5})
    assert row.status == "warning"
    assert "throttled to 0.5" in row.value
    assert row.fix is not None
    assert "--threads 1" in row.fix
    assert doctor.check_cores({**FACTS, "quota_cores": 4.0}).status == "ok"


def test_load_counts_against_the_usable_cores():
    assert doctor.check_load(FACTS).status == "ok"
    assert doctor.check_load({**FACTS, "load_average": [2.1, 0.0, 0.0]}).status == "warning"
    assert doctor.check_load({**FACTS, "usable_cores": 1, "load_average": [0.6, 0, 0]}).fix


def test_a_clock_that_follows_the_load_is_a_warning():
    assert doctor.check_governor(FACTS).status == "ok"
    assert doctor.check_governor({**FACTS, "governor": None}).status == "ok"
    row = doctor.check_governor({**FACTS, "governor": "powersave"})
    assert (row.status, row.value) == ("warning", "powersave")
    assert row.fix is not None
    assert "performance" in row.fix


def test_the_checks_take_the_facts_of_a_real_machine():
    facts = machine_facts()
    for check in (doctor.check_cpu, doctor.check_cores, doctor.check_load, doctor.check_governor):
        assert check(facts).value
