from dataclasses import replace

import pytest

from assay.lab.results import ExperimentResult, Quality, Results, Timing

CLASSES = ["cat", "dog", "$x_$ <b>|pipe|</b>"]


def timing(median, first=None):
    return Timing(
        first_ms=first or 4 * median,
        samples_ms=[0.9 * median, median, 1.1 * median],
        mean_ms=median,
        std_ms=0.1 * median,
        median_ms=median,
        p10_ms=0.92 * median,
        p90_ms=1.08 * median,
        p99_ms=1.098 * median,
    )


def quality(accuracy=0.75):
    return Quality(
        samples=4,
        accuracy=accuracy,
        top5=None,
        mean_precision=0.8333,
        mean_sensitivity=0.875,
        g_mean=0.866,
        confusion_matrix=[[2, 0, 0], [0, 0, 0], [1, 0, 1]],
        predictions=[0, 0, 0, 2],
    )


def experiment(name, runtime="tvm", median=10.0, **fields):
    return replace(
        ExperimentResult(
            name=name,
            title=f"{runtime}, as it comes",
            status="done",
            fingerprint="f",
            runtime=runtime,
            precision="fp32",
            quality=quality(),
            timing=timing(median),
            model_bytes=3 * 2**20,
        ),
        **fields,
    )


@pytest.fixture
def results():
    compiled = {
        "artifact_bytes": 4 * 2**20,
        "compile_s": 12.345,
        "log": "tvm-fp32-nhwc.log",
        "resolved_target": '{"kind": "llvm"}',
        "config": {"opt_level": 3, "layout": "NHWC", "fast": False, "passes": ["a", "b"]},
        "model": {"file": "pet_model.tflite", "inputs": [{"name": "x", "shape": [1, 2]}]},
    }
    skipped = ExperimentResult(
        "tvm-avx512", "TVM, AVX-512", "skipped", "f", "tvm", "fp32", reason="no avx512f here"
    )
    failed = ExperimentResult(
        "stock",
        "Stock [bold]TVM[/bold]",
        "failed",
        "f",
        "stock",
        "fp32",
        reason="LLVM said:\n  no | way [/x]",
        log="stock.log",
    )
    return Results(
        created="2026-01-02T03:04:05+00:00",
        command="assay lab --fp32 'my `odd` model.tflite'",
        machine={"cpu": "Some CPU", "cores": 2, "turbo": None},
        versions={"assay": "0.1.0", "apache-tvm": "0.27.0"},
        dataset={
            "name": "Pets*",
            "samples": 4,
            "classes": CLASSES,
            "labels": [0, 0, 2, 2],
            "crop": 0.875,
        },
        threads=2,
        experiments=[
            experiment("litert-fp32", "litert", 20.0),
            experiment("tvm-fp32-nhwc", "tvm", 12.5, **compiled),
            skipped,
            failed,
        ],
    )
