"""Results with the times and predictions that a test wants."""

from __future__ import annotations

import numpy as np

from assay.lab.results import ExperimentResult, Kernel, Layer, LayerTimes, Results, Turns
from assay.quality.metrics import evaluate
from assay.timing.statistics import summarize

SAMPLES, CLASSES = 200, 4
LABELS = [i % CLASSES for i in range(SAMPLES)]
CPU = "A CPU of the Test Series 9000"


def measured(name, ms, wrong=0, **fields):
    """A finished experiment: median time in ms, and how many of its first predictions are wrong."""
    predictions = [(t + (i < wrong)) % CLASSES for i, t in enumerate(LABELS)]
    scores = np.eye(CLASSES, dtype=np.float32)[predictions]
    jitter = 1 + 0.002 * np.sin(np.arange(50) * 2.4)
    known = {
        "title": f"What {name} tries",
        "status": "done",
        "fingerprint": "f",
        "runtime": "litert" if name.startswith("tflite") else "tvm",
        "precision": "int8" if "int8" in name else "fp32",
        "config": None if name.startswith("tflite") else {"layout": "nchw"},
        "quality": evaluate(scores, np.array(LABELS)),
        "timing": summarize((ms * jitter).tolist(), first_ms=2 * ms),
        "model": {"name": "m.tflite", "sha256": "ab" * 32},
        "model_bytes": 1000,
        "artifact_bytes": None if name.startswith("tflite") else 1500,
    }
    return ExperimentResult(name=name, **{**known, **fields})


def layer(operator, op, macs=0):
    return Layer(operator, op, f"layer{operator}", [1, operator], macs)


def kernel(ms, layers, serves=()):
    return Kernel("k", list(layers), list(serves), 1000, ms, 0.9 * ms, 1.1 * ms)


def times(layers, *kernels):
    """Times of layers without anything between the kernels."""
    return LayerTimes(18, sum(each.median_ms for each in kernels), 0.0, layers, list(kernels))


def measured_results(*experiments, in_turns=True):
    """A run of these experiments, timed in turns as a machine with a slow second launch would."""
    drift = (1.0, 1.3, 1.01, 1.0, 0.99)
    turns = Turns(
        launches=5,
        rounds=10,
        min_time_s=0.03,
        audit={
            "cores": [1],
            "pinned": True,
            "threads": 1,
            "load_start": 0.1,
            "load_end": 1.0,
            "other_share": 0.01,
            "stolen_share": None,
            "warnings": [
                {"id": "governor", "message": "the clock follows the load", "contender": None}
            ],
        },
        rounds_ms={
            e.name: [
                [e.timing.median_ms * slow * (1 + 0.003 * ((i + j + k) % 3)) for k in range(2)]
                for j, slow in enumerate(drift)
            ]
            for i, e in enumerate(experiments)
            if e.timing
        },
    )
    return Results(
        created="2026-01-02T03:04:05+00:00",
        command="assay lab --test",
        machine={"cpu": CPU, "usable_cores": 2},
        versions={"assay": "0.1.0"},
        dataset={
            "name": "digits",
            "samples": SAMPLES,
            "classes": ["zero", "<one> & 'two'", "three", "four"],
            "labels": LABELS,
            "sha256": "cd" * 32,
        },
        threads=1,
        experiments=list(experiments),
        turns=turns if in_turns else None,
    )
