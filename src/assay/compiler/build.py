"""compile(): from a model and a Config to a Build that can be saved or run."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tvm

from assay.compiler import tvm_api
from assay.compiler.artifact import Manifest, write_artifact
from assay.compiler.codegen import EntryMaker, build_executable
from assay.compiler.config import Config
from assay.compiler.frontend.cut import cut
from assay.compiler.frontend.importer import border, import_model
from assay.compiler.kernel_calls import KernelCall
from assay.compiler.kernels.int8.dot import choose_dot
from assay.compiler.kernels.work import estimated_us
from assay.compiler.needs import needs_of
from assay.compiler.passes.convert_layout import convertible
from assay.compiler.pipeline import BINDING, GRAPH, KERNELS, Job, Step, steps, stock_passes
from assay.compiler.remarks.catalogue import remarks_on
from assay.compiler.remarks.facts import Facts
from assay.compiler.remarks.log import Log
from assay.compiler.remarks.read_graph import read_graph
from assay.compiler.remarks.read_kernels import placed, read_kernels
from assay.compiler.remarks.remark import Remark
from assay.compiler.static_entry import entry_functions, with_parameters
from assay.compiler.static_plan import StaticPlan, static_plan
from assay.compiler.stored_constants import append, pack
from assay.compiler.target import Isa, ResolvedTarget, resolve_target
from assay.compiler.trace import Trace
from assay.errors import CompileError
from assay.model.facts import Model

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Build:
    """What came out of a compilation: the executable, its manifest, and the log.

    ``data`` holds the constants that the manifest lists, as bytes: they are not in the executable.
    ``log`` has a line for each pass and each remark (docs/log.md); ``remarks`` are the same ones
    as data, and part of the manifest.
    """

    manifest: Manifest
    log: tuple[str, ...]
    executable: Any
    data: npt.NDArray[Any]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What the build says about its own speed."""
        return self.manifest.remarks

    def save(self, path: str | Path) -> Manifest:
        """Write library and manifest atomically; return the manifest with the library's hash.

        Machine code is made here unless it is there already: ``compile_s`` takes that in.

        No C compiler is needed. ArtifactError if the path cannot be written.
        """
        library = Path(path)
        started = time.perf_counter()

        def export(temporary: Path) -> None:
            temporary.write_bytes(self.executable.library)
            append(temporary, self.data)

        def describe(size: int, digest: str) -> Manifest:
            compile_s = self.manifest.compile_s + time.perf_counter() - started
            return replace(
                self.manifest, compile_s=compile_s, library_bytes=size, library_sha256=digest
            )

        return write_artifact(library, export, describe)


def compile_model(model: Model, config: Config) -> Build:
    """Compile for the Config's target.

    Raises TargetError and ConfigError before any work, UnsupportedOperatorError with every
    operator that cannot be imported, and CompileError if TVM or LLVM fail later.
    """
    started = time.perf_counter()
    target = resolve_target(config.target)
    host = resolve_target(config.target_host) if config.target_host else target
    config = replace(config, layout="nhwc" if config.layout == "auto" else config.layout)
    convertible(config.convert_ops)
    log = Log([f"[target] {target.json()}"])
    model = cut(model, config.inputs, config.outputs, config.signature)
    mod = import_model(model, config.batch)
    inputs, outputs = border(model, mod)
    try:
        trace = Trace(model, mod, config.batch)
        with tvm.transform.PassContext(opt_level=config.opt_level, instruments=[trace]):
            both = _with_host(config, target, host)
            executable, weights, plan = _build(mod, Job(config, host, log), both, trace)
    except (tvm.error.InternalError, RuntimeError, TypeError, ValueError) as error:
        why = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise CompileError(
            f"{model.path}: TVM could not compile it at opt level {config.opt_level} ({why}); "
            "try --opt-level 1, or --pipeline stock"
        ) from error
    data, constants = pack([each.value.numpy() for each in plan.constants] if plan else [])
    kernels = trace.kernels()
    uses = {feature for call in kernels for feature in call.uses}
    manifest = Manifest(
        model_name=model.name,
        model_sha256=model.sha256,
        model_bytes=model.size_bytes,
        config=config.as_dict(),
        resolved_target=target.json(),
        resolved_layout=config.layout,
        needs=tuple(needs_of(each, uses) for each in dict.fromkeys((target, host))),
        versions={name: version(name) for name in ("assay", "apache-tvm", "apache-tvm-ffi")},
        inputs=inputs,
        outputs=outputs,
        compile_s=time.perf_counter() - started,
        weights_bytes=weights,
        arena_bytes=plan.arena_bytes if plan else None,
        constants=constants,
        kernels=kernels,
        remarks=tuple(log.remarks),
    )
    return Build(manifest, tuple(log.lines), executable, data)


def ir_digest(model: Model, config: Config) -> str:
    """Return a digest of the IR that code would be generated from; no code is generated.

    Two Configs with the same one give the same program. Raises what :func:`compile_model` raises
    before it generates code.
    """
    target = resolve_target(config.target)
    host = resolve_target(config.target_host) if config.target_host else target
    config = replace(config, layout="nhwc" if config.layout == "auto" else config.layout)
    part = cut(model, config.inputs, config.outputs, config.signature)
    mod = import_model(part, config.batch)
    both = _with_host(config, target, host)
    run = _stock if config.pipeline == "stock" else _own
    with tvm.transform.PassContext(opt_level=config.opt_level), both:
        lowered, _, plan = run(mod, Job(config, host, Log()), both)
    digest = tvm_api.digest(lowered)
    for constant in plan.constants if plan else ():
        digest += tvm_api.digest(constant)
    return hashlib.sha256(digest.encode()).hexdigest()[:16]


def _with_host(config: Config, target: ResolvedTarget, host: ResolvedTarget) -> Any:
    """Return the target of TVM, which generates kernels of CPUs for the host of it."""
    if config.pipeline == "stock":
        return tvm_api.with_host(target.tvm(), host.tvm())
    return tvm_api.with_host(target.tuned(), host.tuned())


def _build(mod: Any, job: Job, target: Any, trace: Trace) -> tuple[Any, int, StaticPlan | None]:
    """Run the pipeline and generate code.

    Returns the executable, the bytes of all constants, and what its ahead-of-time entry does, None
    if only the virtual machine can run it.
    """
    with target:
        mod, facts, plan = (_stock if job.config.pipeline == "stock" else _own)(mod, job, target)
        for remark in remarks_on(replace(facts, kernels=placed(facts.kernels, trace.kernels()))):
            job.log.append(remark)
        weights = tvm_api.constant_bytes(mod["main"])
        weights += sum(map(tvm_api.tensor_bytes, plan.constants if plan else ()))
        executable = build_executable(mod, target, _entry_maker(plan, job, trace) if plan else None)
        return executable, weights, plan


def _entry_maker(plan: StaticPlan, job: Job, trace: Trace) -> EntryMaker:
    kernels = frozenset(call.kernel for call in plan.calls)
    isa = job.target.isa
    work_us = {call.symbol: _work_us(isa, call) for call in trace.kernels()}
    make = partial(entry_functions, plan, isa.arch, work_us)
    return EntryMaker(kernels, make)


def _work_us(isa: Isa, call: KernelCall) -> float:
    dot = choose_dot(isa)
    several = dot.fused and call.input_dtypes[:1] in (("int8",), ("uint8",))
    return estimated_us(isa, 2 * call.macs // (dot.taps if several else 1), call.bytes_moved)


def _stock(mod: Any, job: Job, target: Any) -> tuple[Any, Facts, None]:
    ops = read_graph(mod)
    for stock in stock_passes(target):
        mod = stock(mod)
    return mod, _facts(job, ops, ops, mod, frozenset(), ops), None


def _own(mod: Any, job: Job, target: Any) -> tuple[Any, Facts, StaticPlan | None]:
    imported = read_graph(mod)
    mod = _run(GRAPH, mod, job)
    ops = read_graph(mod)
    mod = _run(BINDING, mod, job)
    left, bound = read_graph(mod), tvm_api.kernel_names(mod)
    mod = _run(KERNELS, mod, job)
    plan = static_plan(mod)
    if plan is not None:
        mod = with_parameters(mod, plan)
    for lowering in tvm_api.lowering_passes(target):
        mod = lowering(mod)
    return mod, _facts(job, ops, left, mod, bound, imported), plan


def _facts(job: Job, ops: Any, left: Any, mod: Any, bound: frozenset[str], imported: Any) -> Facts:
    """Join what was read off a build; ``left`` are the operators that no kernel was bound to."""
    return Facts(
        config=job.config,
        isa=job.target.isa,
        host=resolve_target("native").isa,
        ops=ops,
        loops=tuple(op for op in left if op.heavy),
        kernels=read_kernels(mod, bound),
        imported=imported,
    )


def _run(part: tuple[Step, ...], mod: Any, job: Job) -> Any:
    for step in steps(part, job.config):
        started = time.perf_counter()
        mod = step.make(job)(mod)
        taken = (time.perf_counter() - started) * 1e3
        job.log.append(f"[pass] {step.name}: {_counts(mod)} ({taken:.0f} ms)")
    return mod


def _counts(mod: Any) -> str:
    names: Iterable[str] = (tvm_api.op_name(call) for call in tvm_api.op_calls(mod["main"]))
    counts = Counter(name or "kernel call" for name in names)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
