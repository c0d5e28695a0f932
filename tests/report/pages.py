"""A run with a bit of everything that a report may have to show."""

from dataclasses import replace

from tests.lab.measured import kernel, layer, measured, times

LAYERS = [layer(0, "CONV_2D", 900), layer(1, "ADD"), layer(2, "FULLY_CONNECTED", 100)]
DENSE = {
    "id": "schedule/none",
    "evidence": "dense runs as plain loops; there is no kernel for it here",
    "why": "Plain loops use a <fraction> of the CPU.",
    "advice": "Build at opt level 3.",
    "cost_ms": 1.5,
}

RUN = (
    measured("tflite-fp32", 10.0, wrong=20),
    measured("tflite-int8", 5.0, wrong=21),
    measured(
        "tvm-fp32-nhwc",
        8.0,
        wrong=20,
        remarks=[],
        layer_times=times(LAYERS, kernel(5, [0, 1]), kernel(2, [2])),
    ),
    measured(
        "tvm-fp32-opt3",
        12.0,
        wrong=20,
        remarks=[*(3 * [DENSE]), {"id": "layout/x", "evidence": "transpose of a constant"}],
        costs_against="tvm-fp32-nhwc",
        log_lines={"[target] llvm": 1, "[schedule] " + DENSE["evidence"]: 3},
        layer_times=times(
            LAYERS, kernel(1, [], [0]), kernel(4, [0]), kernel(0.5, [1]), kernel(6.5, [2])
        ),
    ),
    measured(
        "tvm-int8-nhwc",
        4.0,
        wrong=20,
        compile_s=2.5,
        layer_times=times(LAYERS, kernel(2.25, [0, 1]), kernel(0.75, [2])),
    ),
    replace(
        measured("tvm-int8-avx2", 1.0),
        status="failed",
        reason="LLVM gave up",
        quality=None,
        timing=None,
    ),
)
