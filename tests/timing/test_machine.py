from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from assay.cpu import cache_bytes, cpu_model, cpu_vendor, governor, physical_cores
from assay.timing.machine import cpu_flags, machine_facts, usable_cores, versions

X86 = """\
processor\t: {number}
vendor_id\t: GenuineIntel
model name\t: 12th Gen Intel(R) Core(TM) i7-1260P
flags\t\t: fpu sse2 ssse3 sse4_1 sse4_2 avx f16c fma avx2 avx_vnni rdpid
power management:

"""
GRAVITON = """\
processor\t: {number}
BogoMIPS\t: 243.75
Features\t: fp asimd asimdhp asimddp atomics
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: {part}

"""


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


def cpuinfo(root: Path, *blocks: str) -> Path:
    return tree(root, {"proc/cpuinfo": "".join(blocks)})


def test_facts_of_this_machine_survive_json():
    facts = machine_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"]
    assert facts["logical_cores"] == os.cpu_count()
    assert 1 <= facts["usable_cores"] <= facts["logical_cores"]
    assert facts["memory_bytes"] > 2**28
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.skipif(sys.platform != "linux", reason="compares with Linux' own tool")
def test_the_name_is_the_one_that_the_system_gives():
    try:
        done = subprocess.run(["lscpu", "--json"], capture_output=True, check=True, text=True)
    except OSError:
        pytest.skip("lscpu is not installed")
    entries = json.loads(done.stdout)["lscpu"]
    while any(entry.get("children") for entry in entries):
        children = [child for entry in entries for child in entry.pop("children", [])]
        entries = entries + children
    fields = {entry["field"]: entry["data"] for entry in entries}
    if fields["Architecture:"] != "x86_64":
        pytest.skip("lscpu makes names of its own for other processors")
    assert cpu_model() == fields["Model name:"]
    assert cpu_flags() == set(fields["Flags:"].split())
    sockets = int(fields["Socket(s):"])
    assert physical_cores() == int(fields["Core(s) per socket:"]) * sockets


def test_an_x86_processor(tmp_path):
    root = cpuinfo(tmp_path, X86.format(number=0), X86.format(number=1))
    facts = machine_facts(root)
    assert facts["cpu"] == "12th Gen Intel(R) Core(TM) i7-1260P"
    assert facts["vendor"] == "GenuineIntel"
    assert facts["virtual"] is False
    assert "rdpid" in cpu_flags(root)
    expected = ["sse2", "ssse3", "sse4_1", "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni"]
    assert facts["flags"] == expected


def test_a_virtual_x86_processor(tmp_path):
    root = cpuinfo(tmp_path, X86.format(number=0).replace("rdpid", "rdpid hypervisor"))
    assert machine_facts(root)["virtual"] is True


def test_an_arm_processor_has_no_model_name(tmp_path):
    root = cpuinfo(tmp_path, *(GRAVITON.format(number=n, part="0xd0c") for n in range(4)))
    facts = machine_facts(root)
    assert facts["cpu"] == "Arm Neoverse-N1"
    assert facts["vendor"] == "Arm"
    assert facts["flags"] == ["asimd", "asimdhp", "asimddp"]
    assert facts["virtual"] is None


def test_different_arm_cores_are_all_named(tmp_path):
    parts = ("0xd05", "0xd05", "0xd0b", "0xfff")
    root = cpuinfo(tmp_path, *(GRAVITON.format(number=n, part=p) for n, p in enumerate(parts)))
    assert cpu_model(root) == "Arm Cortex-A55 + Arm Cortex-A76 + Arm core 0xfff"


def test_an_unknown_maker_keeps_its_number(tmp_path):
    block = GRAVITON.format(number=0, part="0xd0c").replace("0x41", "0x99")
    root = cpuinfo(tmp_path, block)
    assert cpu_model(root) == "0x99 core 0xd0c"
    assert cpu_vendor(root) is None


def test_a_machine_without_proc_and_sys(tmp_path):
    facts = machine_facts(tmp_path)
    assert facts["cpu"]
    assert facts["flags"] == []
    unknown = ("vendor", "virtual", "physical_cores", "l1d_bytes", "l3_bytes", "governor")
    assert [facts[key] for key in (*unknown, "quota_cores")] == [None] * 7
    assert cpu_flags(tmp_path) == frozenset()


def test_cores_that_share_one_by_hyper_threading_count_once(tmp_path):
    siblings = ("0-1", "0-1", "2-3", "2-3", "4")
    name = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    root = tree(tmp_path, {name.format(n): text for n, text in enumerate(siblings)})
    assert physical_cores(root) == 3


def test_caches_and_clock(tmp_path):
    cpu0 = "sys/devices/system/cpu/cpu0"
    caches = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M")]
    files = {
        f"{cpu0}/cache/index{index}/{key}": value
        for index, cache in enumerate(caches)
        for key, value in zip(("level", "type", "size"), cache, strict=True)
    }
    root = tree(tmp_path, {**files, f"{cpu0}/cpufreq/scaling_governor": "powersave"})
    assert [cache_bytes(level, root) for level in (1, 2, 3)] == [48 * 1024, 2 * 1024**2, None]
    assert governor(root) == "powersave"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_the_quota_of_a_container(tmp_path, files, cores):
    root = tree(tmp_path, {f"sys/fs/cgroup/{name}": content for name, content in files.items()})
    assert machine_facts(root)["quota_cores"] == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_usable_cores_are_those_that_the_process_may_run_on():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert usable_cores() == len(allowed)


def test_versions_are_those_of_the_installed_packages():
    found = versions()
    for name in ("assay", "apache-tvm", "apache-tvm-ffi", "ai-edge-litert", "numpy"):
        assert found[name] == version(name)


def test_packages_that_are_not_installed_are_left_out(tmp_path):
    """In a process that sees no packages but numpy's facts."""
    facts = tmp_path / "numpy-9.9.dist-info"
    tree(facts, {"METADATA": "Metadata-Version: 2.1\nName: numpy\nVersion: 9.9"})
    source = Path(__file__).parents[2] / "src"
    script = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(source)!r}]\n"
        "from assay.timing.machine import versions; print(versions())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'numpy': '9.9'}"
