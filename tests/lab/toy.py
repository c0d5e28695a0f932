"""A classifier small enough to compute by hand, in several types, and data that it is good at.

It sums each colour over the image and says which is strongest: three classes, [1, 4, 4, 3] in.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.builder import GraphBuilder, per_tensor

SHAPE = (1, 4, 4, 3)
CLASSES = ("red", "green", "blue")
MIX = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1]])[:, None, None, :]  # OHWI, identity
STEP = {"int8": (1 / 64, -3), "uint8": (1 / 64, 125), "int16": (1 / 4096, 0)}
RANGE = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


def float_model() -> bytes:
    graph = GraphBuilder()
    x = graph.input("x", SHAPE)
    w, b = graph.constant("w", MIX), graph.constant("b", np.zeros(3, np.float32))
    y = graph.op("CONV_2D", [x, w, b], SHAPE)
    axes = graph.constant("axes", np.int32([1, 2]))
    graph.output(graph.op("MEAN", [y, axes], (1, 3), output="scores"))
    return graph.build()


def quantized_model(dtype: str) -> bytes:
    """The same with the scale and zero point of ``STEP`` on input and output."""
    step = per_tensor(*STEP[dtype])
    graph = GraphBuilder()
    x = graph.input("x", SHAPE, dtype, step)
    axes = graph.constant("axes", np.int32([1, 2]))
    graph.output(graph.op("MEAN", [x, axes], (1, 3), dtype, step, output="scores"))
    return graph.build()


def images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return x, float32 [count, 4, 4, 3] in [-1, 1], and y; every seventh label is wrong."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.5, 0.3, (count, *SHAPE[1:])).astype(np.float32)
    y = rng.integers(0, 3, count)
    x[np.arange(count), ..., y] += 0.7
    y[::7] = (y[::7] + 1) % 3
    return x, y


def write(folder: Path, count: int = 40) -> tuple[Path, Path, Path]:
    """Write FP32 model, INT8 model and data set to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    fp32, int8, data = (folder / name for name in ("toy.fp32.tflite", "toy.int8.tflite", "toy.npz"))
    fp32.write_bytes(float_model())
    int8.write_bytes(quantized_model("int8"))
    x, y = images(count)
    np.savez(data, x=x, y=y, classes=np.array(CLASSES))
    return fp32, int8, data


def pets_model() -> bytes:
    """A model of Oxford-IIIT Pet's shapes that knows nothing: it repeats the first colour."""
    graph = GraphBuilder()
    x = graph.input("x", (1, 224, 224, 3))
    axes = graph.constant("axes", np.int32([1, 2]))
    colours = graph.op("MEAN", [x, axes], (1, 3))
    w = graph.constant("w", np.ones((37, 3), np.float32))
    graph.output(graph.op("FULLY_CONNECTED", [colours, w, -1], (1, 37)))
    return graph.build()
