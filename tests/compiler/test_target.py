import json

import pytest

from assay.compiler import target, tvm_api
from assay.compiler.needs import needs_of
from assay.compiler.target import resolve_target
from assay.compiler.tvm_api import system_triple
from assay.errors import TargetError


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("llvm", {"kind": "llvm"}),
        ("llvm -mcpu=core-avx2", {"kind": "llvm", "mcpu": "core-avx2"}),
        (
            "llvm -mtriple=aarch64-linux-gnu -mattr=+neon",
            {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mattr": ["+neon"]},
        ),
        ('{"kind": "llvm", "mcpu": "alderlake"}', {"kind": "llvm", "mcpu": "alderlake"}),
        ("llvm -num-cores=2", {"kind": "llvm", "num-cores": 2}),
    ],
)
def test_old_and_new_forms_mean_the_same_fields(text, fields):
    resolved = resolve_target(text)
    assert json.loads(resolved.json()) == fields
    assert resolved.tvm().kind.name == "llvm"


@pytest.mark.parametrize("cpu", ["znver4", "znver5"])
def test_what_code_is_tuned_for_has_no_instructions_of_its_own(cpu):
    target = resolve_target(f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu}")
    own, tuned = (tvm_api.cpu_features(made) for made in (target.tvm(), target.tuned()))
    preferences = ("ermsb", "fast-", "no-bypass-", "slow-", "tuning-")
    assert not [feature for feature in tuned - own if not feature.startswith(preferences)]
    assert {"avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512vbmi", "fma"} <= tuned


def test_other_targets_are_tuned_for_themselves():
    target = resolve_target("llvm -mtriple=x86_64-linux-gnu -mcpu=cascadelake -mattr=+avx512vbmi")
    assert str(target.tuned()) == str(target.tvm())


@pytest.mark.parametrize(
    ("text", "bits", "registers", "fma", "dot"),
    [
        ("llvm -mtriple=x86_64-linux-gnu", 128, 16, False, "none"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=core-avx2", 256, 16, True, "none"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3", 256, 16, True, "none"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=alderlake", 256, 16, True, "avxvnni"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512", 512, 32, True, "none"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=cascadelake", 512, 32, True, "vnni512"),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72", 128, 32, True, "none"),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76", 128, 32, True, "sdot"),
    ],
)
def test_isa_follows_from_the_target(text, bits, registers, fma, dot):
    isa = resolve_target(text).isa
    assert (isa.vector_bits, isa.registers, isa.fma, isa.dot) == (bits, registers, fma, dot)


@pytest.mark.parametrize(
    ("options", "tiles"),
    [
        ("-mcpu=sapphirerapids", True),
        ("-mcpu=rocketlake -mattr=+amx-tile,+amx-int8", True),
        ("-mcpu=rocketlake -mattr=+amx-int8", True),  # LLVM: implies AMX-TILE
        ("-mcpu=rocketlake", False),
        ("-mcpu=rocketlake -mattr=+amx-tile", False),
        ("-mcpu=sapphirerapids -mattr=-amx-tile", False),
        ("-mcpu=sapphirerapids -mattr=-avx512vnni", False),
        ("-mcpu=core-avx2 -mattr=+amx-tile,+amx-int8", False),
        ("", False),
    ],
)
def test_tiles_want_amx_of_8_bit_integers_and_vnni(options, tiles):
    assert resolve_target(f"llvm -mtriple=x86_64-linux-gnu {options}").isa.tiles is tiles


def test_native_names_a_cpu():
    assert json.loads(resolve_target("native").json())["mcpu"]


@pytest.mark.parametrize(
    ("cpu", "offered", "attributes"),
    [
        ("rocketlake", True, ["+amx-int8", "+amx-tile"]),  # as a virtual machine may name it
        ("rocketlake", False, None),
        ("sapphirerapids", True, None),
        ("sapphirerapids", False, ["-amx-tile"]),  # hidden by a virtual machine, or by old Linux
    ],
)
def test_native_has_tiles_if_the_machine_offers_them(monkeypatch, cpu, offered, attributes):
    if not system_triple().startswith("x86_64"):
        pytest.skip("only x86-64 has such tiles")
    monkeypatch.setattr(tvm_api, "system_cpu", lambda: cpu)
    monkeypatch.setattr(target, "tiles_offered", lambda: offered)
    native = resolve_target("native")
    expected = {"kind": "llvm", "mcpu": cpu, **({"mattr": attributes} if attributes else {})}
    assert json.loads(native.json()) == expected
    assert native.isa.tiles is needs_of(native).tiles is offered
    assert (native.isa.vector_bits, native.isa.dot) == (512, "vnni512")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("llvm -mcpu=core-avx3", "core-avx2"),
        ("llvm -mtriple=foo-linux", "foo"),
        ("llvm -mattr=+zzz", "zzz"),
        ("llvm -mattr=avx2", "+name"),
        ("llvm -mcpu", "-key=value"),
        ("llvm -march=x", "march"),
        ("cuda", "CPU"),
        ("{", "JSON"),
        ('{"mcpu": "znver4"}', "kind"),
        ('{"kind": "llvm", "mattr": "+avx2"}', "list"),
        ('["llvm"]', "kind"),
        ("", "llvm"),
        ("llvm -num-cores=two", "whole number"),
    ],
)
def test_a_bad_target_is_one_sentence_that_names_it(text, word):
    with pytest.raises(TargetError) as caught:
        resolve_target(text)
    message = str(caught.value)
    assert repr(text) in message
    assert word in message
    assert "\n" not in message
