"""Comparisons as a measurement would give them, with the times that a test wants."""

from __future__ import annotations

from assay.compiler.config import Config
from assay.data import DIGITS_FP32
from assay.timing.compare import compare_all
from assay.timing.record import (
    Audit,
    Bench,
    Contender,
    Costs,
    Launch,
    Outcome,
    Round,
    Settings,
    Use,
)
from assay.timing.sampling import WarmUp
from assay.timing.statistics import spread

COSTS = Costs(100.0, 1.0, 20.0, 2.0, 50_000_000, 60_000_000, 61_000_000, 3_000_000, 2_000_000)
USE = Use(1, 0.99, 0.0, 0.0, (1,), 62_000_000)

MACHINE = {
    "cpu": "A CPU",
    "arch": "x86_64",
    "flags": ["avx2", "fma"],
    "virtual": False,
    "usable_cores": 4,
    "quota_cores": None,
    "governor": "performance",
    "os": "An OS",
    "python": "3.12.1",
}


def launch(values_ms, costs=COSTS, use=USE, steady=True):
    """One launch with rounds of three runs each, whose medians are the values."""
    rounds = [
        Round(
            settling_ns=int(ms * 2e6),
            samples_ns=[int(ms * 0.9e6), int(ms * 1e6), int(ms * 5e6)],
            wall_ns=int(ms * 10e6),
            cpu_ns=int(ms * 9.9e6),
            waited_ns=0,
            spin_cpu_ns=0,
            idle_ns=int(ms * 10e6),
            idle_cpu_ns=0,
        )
        for ms in values_ms
    ]
    return Launch(costs, WarmUp(9, [2e6, 1e6, 1e6], steady), rounds, use)


def outcome(label, *launches_ms, runtime="tvm", sha="s", **fields):
    """A contender that was timed; a build of assay's unless another runtime is named."""
    config = Config() if runtime == "tvm" else None
    contender = Contender(label, "digits", runtime, DIGITS_FP32, config, sha)
    samples = [[ms * 0.9, ms, ms * 5] for each in launches_ms for ms in each]
    known = {"launches": [launch(each) for each in launches_ms], "spread": spread(samples)}
    return Outcome(contender, "timed", **{**known, **fields})


def audit(**fields):
    """The conditions of a machine that is as it should be."""
    known = {
        "machine": MACHINE,
        "versions": {"assay": "1.0"},
        "cores": (1,),
        "pinned": True,
        "threads": 1,
        "load_start": 0.1,
        "load_end": 1.0,
        "other_share": 0.0,
        "stolen_share": 0.0,
    }
    return Audit(**{**known, **fields})


def bench(*outcomes, settings=None, **fields):
    """A whole comparison of these outcomes."""
    timed = [each for each in outcomes if each.status == "timed"]
    return Bench(
        created="2030-01-02T03:04:05+00:00",
        command="assay bench x.tflite",
        settings=settings or Settings(cores=(1,)),
        audit=audit(**fields),
        outcomes=outcomes,
        comparisons=compare_all([(each.contender.label, each.values_ms) for each in timed]),
        orders=((0,),),
    )
