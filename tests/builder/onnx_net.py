"""Writes ONNX networks with random weights, through onnx.helper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class OnnxNet:
    """Collects nodes; every method returns the name of the value that it makes."""

    def __init__(self, opset: int = 17, seed: int = 0) -> None:
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self._count = 0

    def input(self, name: str, shape: Sequence[int | str], dtype: str = "float32") -> str:
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: Any, dtype: str | None = None) -> str:
        from onnx import numpy_helper

        name = f"c{self._next()}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weights(self, *shape: int) -> str:
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
        return self.constant(self.rng.normal(0, scale, shape), "float32")

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        from onnx import helper

        count = self._next()
        names = [f"v{count}_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, f"{kind}_{count}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x: str, channels: tuple[int, int], kernel: int = 3, **attributes: Any) -> str:
        incoming, outgoing = channels
        group = attributes.get("group", 1)
        weights = self.weights(outgoing, incoming // group, kernel, kernel)
        attributes.setdefault("pads", [kernel // 2] * 4)
        return self.op("Conv", x, weights, self.weights(outgoing), **attributes)

    def batch_norm(self, x: str, channels: int) -> str:
        spread = [self.constant(self.rng.uniform(0.5, 1.5, channels), "float32") for _ in range(2)]
        moved = [self.weights(channels) for _ in range(2)]
        return self.op("BatchNormalization", x, spread[0], *moved, spread[1])

    def model(self, *outputs: str, dtype: str = "float32") -> Any:
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        ports = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", self.inputs, ports, self.constants)
        sets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=sets, ir_version=8)

    def save(self, path: Path, *outputs: str, dtype: str = "float32") -> Path:
        import onnx

        onnx.save(onnx.shape_inference.infer_shapes(self.model(*outputs, dtype=dtype)), path)
        return path

    def _next(self) -> int:
        self._count += 1
        return self._count
