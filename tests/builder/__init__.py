"""Builds small TFLite files for tests, without a converter.

graph = GraphBuilder()
x = graph.input("x", (1, 8, 8, 3))
w = graph.constant("w", np.ones((4, 3, 3, 3), np.float32))
b = graph.constant("b", np.zeros(4, np.float32))
y = graph.op("CONV_2D", [x, w, b], (1, 4, 4, 4), options={"stride_h": 2, "stride_w": 2})
graph.output(y)
data = graph.build()
"""

from tests.builder.encode import build_model
from tests.builder.graph import GraphBuilder, per_axis, per_tensor

__all__ = ["GraphBuilder", "build_model", "per_axis", "per_tensor"]
