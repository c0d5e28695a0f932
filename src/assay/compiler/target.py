"""Target strings, old and new, and what they mean for kernels (``Isa``).

Accepted: ``native``; TVM's old form, ``llvm -mcpu=core-avx2 -mattr=+avx2,-fma``; and the JSON form
that TVM 0.27 wants, ``{"kind": "llvm", "mcpu": "core-avx2"}``.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from assay.compiler import tvm_api
from assay.compiler.tiles import tiles_offered
from assay.errors import TargetError

DotProduct = Literal["none", "vnni512", "vnni256", "avxvnni", "sdot"]

_LIST_FIELDS = {"mattr", "keys", "libs"}
_TEXT_FIELDS = {"kind", "mcpu", "mtriple", "mabi", "mfloat-abi"}
_INT_FIELDS = {"num-cores", "opt-level"}
_TILES = {"amx-int8", "amx-tile"}


@dataclass(frozen=True)
class Isa:
    """What a kernel generator needs to know of an instruction set.

    ``registers`` counts vector registers of ``vector_bits`` each. ``dot`` is the widest instruction
    that multiplies unsigned by signed 8-bit values and adds four products to a 32-bit lane
    (``sdot``: signed by signed). ``byte_permute`` says that bytes of two registers can be picked in
    any order (AVX512-VBMI), ``tiles`` that ``vnni512`` comes with matrix tiles of 8-bit integers
    (AMX-TILE and AMX-INT8). Cache sizes are per core, in bytes: typical of the class of CPU, not
    read from this machine, so that a target compiles to the same code everywhere.
    """

    name: str
    arch: Literal["x86_64", "aarch64", "other"]
    vector_bits: int
    registers: int
    fma: bool
    dot: DotProduct
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 512 * 1024
    byte_permute: bool = False
    tiles: bool = False

    def lanes(self, element_bits: int = 32) -> int:
        """Return how many elements of that width one vector register holds."""
        return self.vector_bits // element_bits


@dataclass(frozen=True)
class _Like:
    """A CPU whose instructions another one has too, ``without`` some features and preferences."""

    cpu: str
    without: tuple[str, ...]


# LLVM unrolls short loops for Zen 4 and 5 by two or more. Those of register tiles then take more
# registers than there are, and sums go through memory.
_ICE_LAKE = _Like("icelake-server", ("-pconfig", "-prefer-256-bit"))
_TUNED_AS = {"znver4": _ICE_LAKE, "znver5": _ICE_LAKE}


@dataclass(frozen=True)
class ResolvedTarget:
    """A target with nothing left to guess: ``native`` replaced, fields checked against LLVM."""

    fields: tuple[tuple[str, Any], ...]
    isa: Isa

    def json(self) -> str:
        """Return the JSON form, with sorted keys: the same target always gives the same text."""
        return json.dumps(_thaw(self.fields), sort_keys=True)

    def tvm(self) -> Any:
        """Build the ``tvm.target.Target``."""
        return tvm_api.make_target(_thaw(self.fields))

    def tuned(self) -> Any:
        """Build the target that kernels are generated for: of :meth:`tvm`, or of a CPU like it."""
        fields = _thaw(self.fields)
        like = _TUNED_AS.get(fields.get("mcpu", ""))
        if like is None:
            return self.tvm()
        mattr = [*like.without, *fields.get("mattr", [])]
        return tvm_api.make_target({**fields, "mcpu": like.cpu, "mattr": mattr})


def resolve_target(text: str) -> ResolvedTarget:
    """Parse a target string and check each part with LLVM; TargetError says what is not known."""
    fields = _parse(text)
    if fields["kind"] != "llvm":
        raise TargetError(f"target {text!r}: assay compiles for CPUs, so the kind must be llvm")
    _check_triple(text, fields)
    target = tvm_api.make_target({"kind": "llvm", **_only(fields, "mtriple")})
    _check_cpu(text, fields, target)
    _check_features(text, fields, target)
    return ResolvedTarget(_freeze(fields), isa_of(tvm_api.make_target(fields), fields))


def isa_of(target: Any, fields: dict[str, Any]) -> Isa:
    """Ask LLVM for the features of a target and sum them up as an Isa."""
    name = str(fields.get("mcpu") or "generic")
    triple = str(fields.get("mtriple") or tvm_api.system_triple())

    def has(feature: str) -> bool:
        return tvm_api.has_feature(target, feature)

    if triple.startswith(("aarch64", "arm64")):
        return Isa(name, "aarch64", 128, 32, True, "sdot" if has("dotprod") else "none")
    if not triple.startswith("x86_64"):
        return Isa(name, "other", 128, 16, False, "none")
    if all(has(f) for f in ("avx512f", "avx512bw", "avx512vl", "avx512dq")):
        dot: DotProduct = "vnni512" if has("avx512vnni") else "none"
        return Isa(
            *(name, "x86_64", 512, 32, True, dot),
            l2_bytes=1024 * 1024,
            byte_permute=has("avx512vbmi"),
            tiles=dot == "vnni512" and has("amx-tile") and has("amx-int8"),
        )
    if has("avx2"):
        dot = "avxvnni" if has("avxvnni") else "none"
        return Isa(name, "x86_64", 256, 16, has("fma"), dot)
    return Isa(name, "x86_64", 128, 16, False, "none")


def _parse(text: str) -> dict[str, Any]:
    stripped = text.strip()
    if stripped == "native":
        return _native()
    if stripped.startswith("{"):
        return _parse_json(text, stripped)
    return _parse_flags(text, stripped)


def _native() -> dict[str, Any]:
    """Return LLVM's name of this machine's CPU, with or without tiles as the machine offers them.

    LLVM tells CPUs by family and model, and virtual machines give those of another one.
    """
    fields = {"kind": "llvm", "mcpu": tvm_api.system_cpu()}
    named = tvm_api.cpu_features(tvm_api.make_target(fields)) & _TILES
    if tiles_offered():
        return fields if named == _TILES else {**fields, "mattr": [f"+{f}" for f in sorted(_TILES)]}
    return {**fields, "mattr": ["-amx-tile"]} if named else fields  # the others depend on it


def _parse_json(text: str, stripped: str) -> dict[str, Any]:
    try:
        fields = json.loads(stripped)
    except json.JSONDecodeError as error:
        raise TargetError(f"target {text!r} is no valid JSON: {error}") from error
    if not isinstance(fields, dict) or "kind" not in fields:
        raise TargetError(f'target {text!r} lacks "kind"; write {{"kind": "llvm", ...}}')
    for key, value in fields.items():
        _check_key(text, key)
        kind: type = list if key in _LIST_FIELDS else int if key in _INT_FIELDS else str
        if not isinstance(value, kind):
            raise TargetError(f"target {text!r}: {key!r} takes a {kind.__name__}, not {value!r}")
    return dict(fields)


def _parse_flags(text: str, stripped: str) -> dict[str, Any]:
    try:
        kind, *flags = shlex.split(stripped)
    except ValueError as error:  # no closing quotation, or no word at all
        raise TargetError(f"target {text!r} cannot be read; write llvm -mcpu=NAME") from error
    fields: dict[str, Any] = {"kind": kind}
    for flag in flags:
        key, equals, value = flag.lstrip("-").partition("=")
        _check_key(text, key)
        if not flag.startswith("-") or not equals or not value:
            raise TargetError(f"target {text!r}: {flag!r} is not of the form -key=value")
        fields[key] = _flag_value(text, key, value)
    return fields


def _flag_value(text: str, key: str, value: str) -> Any:
    if key in _LIST_FIELDS:
        return value.split(",")
    if key in _INT_FIELDS:
        if not value.isdecimal():
            raise TargetError(f"target {text!r}: -{key} takes a whole number, not {value!r}")
        return int(value)
    return value


def _check_key(text: str, key: str) -> None:
    known = _LIST_FIELDS | _TEXT_FIELDS | _INT_FIELDS
    if key not in known:
        raise TargetError(f"target {text!r}: unknown option {key!r}, not one of {sorted(known)}")


def _check_triple(text: str, fields: dict[str, Any]) -> None:
    triple = fields.get("mtriple")
    if triple is None:
        return
    arch = str(triple).split("-")[0].replace("arm64", "aarch64")
    if arch not in tvm_api.architectures():
        raise TargetError(
            f"target {text!r}: LLVM here has no back end for {arch!r}; write a triple such as "
            "x86_64-linux-gnu or aarch64-linux-gnu"
        )


def _check_cpu(text: str, fields: dict[str, Any], target: Any) -> None:
    cpu = fields.get("mcpu")
    if cpu is None:
        return
    known = tvm_api.known_cpus(target)
    if cpu not in known:
        from difflib import get_close_matches

        near = get_close_matches(str(cpu), known, n=3) or sorted(known)[:3]
        raise TargetError(f"target {text!r}: LLVM knows no CPU {cpu!r}; near: {', '.join(near)}")


def _check_features(text: str, fields: dict[str, Any], target: Any) -> None:
    wanted = fields.get("mattr", [])
    for entry in wanted:
        if entry[:1] not in "+-":
            raise TargetError(f"target {text!r}: -mattr takes +name or -name, not {entry!r}")
        if entry[1:] not in _known_features(fields.get("mtriple")):
            raise TargetError(f"target {text!r}: no CPU that LLVM knows has feature {entry[1:]!r}")


@lru_cache
def _known_features(triple: str | None) -> frozenset[str]:
    base = {"kind": "llvm"} if triple is None else {"kind": "llvm", "mtriple": triple}
    cpus = tvm_api.known_cpus(tvm_api.make_target(base))
    features: set[str] = set()
    for cpu in cpus:
        features |= tvm_api.cpu_features(tvm_api.make_target({**base, "mcpu": cpu}))
    return frozenset(features)


def _only(fields: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: fields[key] for key in keys if key in fields}


def _freeze(fields: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (key, tuple(value) if isinstance(value, list) else value)
        for key, value in sorted(fields.items())
    )


def _thaw(fields: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields}
