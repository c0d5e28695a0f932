"""A run with a bit of everything that a report may have to show."""

from dataclasses import replace

from tests.lab.measured import measured

RUN = (
    measured("tflite-fp32", 10.0, wrong=20),
    measured("tflite-int8", 5.0, wrong=21),
    measured("tvm-fp32-nhwc", 8.0, wrong=20, remarks=[]),
    measured(
        "tvm-fp32-opt3",
        12.0,
        wrong=20,
        remarks=3
        * [
            {
                "id": "schedule/none",
                "evidence": "dense runs as plain loops; there is no kernel for it here",
            }
        ],
    ),
    measured("tvm-int8-nhwc", 4.0, wrong=20, compile_s=2.5),
    replace(
        measured("tvm-int8-avx2", 1.0),
        status="failed",
        reason="LLVM gave up",
        quality=None,
        timing=None,
    ),
)
