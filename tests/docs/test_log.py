"""docs/log.md explains every line that a build can log."""

from __future__ import annotations

import re

import numpy as np
import pytest

import assay
from tests.builder import GraphBuilder, per_axis, per_tensor
from tests.docs.pages import DOCS


def patterns():
    """The lines in the page that begin with a bracket, their words in capitals standing for any."""
    lines = re.findall(r"^`(\[.+)`$", (DOCS / "log.md").read_text(), re.MULTILINE)
    holes = (re.sub(r"(?<![\w-])[A-Z]{2,}(?![\w-])", "\0", line) for line in lines)
    return [re.escape(line).replace("\0", "(.+)") for line in holes]


def float_network() -> bytes:
    """Convolution, depthwise convolution and dense layer, with what converters put between them."""
    graph = GraphBuilder()
    rng = np.random.default_rng(0)

    def weights(name, *shape):
        return graph.constant(name, rng.normal(size=shape).astype(np.float32))

    x = graph.input("x", (1, 12, 12, 3))
    relu6 = {"activation": "RELU6"}
    y = graph.op(
        "CONV_2D", [x, weights("w", 16, 3, 3, 3), weights("b", 16)], (1, 12, 12, 16), options=relu6
    )
    y = graph.op(
        "DEPTHWISE_CONV_2D",
        [y, weights("d", 1, 3, 3, 16), weights("e", 16)],
        (1, 12, 12, 16),
        options=relu6,
    )
    y = graph.op("RESHAPE", [y, graph.constant("s", np.int32([1, 2304]))], (1, 2304))
    graph.output(graph.op("FULLY_CONNECTED", [y, weights("f", 10, 2304), -1], (1, 10)))
    return graph.build()


def integer_network() -> bytes:
    """The same with int8 tensors."""
    graph = GraphBuilder()
    rng = np.random.default_rng(0)
    q = per_tensor(0.1, 3)

    def weights(name, axis, *shape):
        scales = per_axis([0.01] * shape[axis], axis)
        return graph.constant(name, rng.integers(-127, 128, shape).astype(np.int8), scales)

    def bias(name, count):
        return graph.constant(name, np.zeros(count, np.int32), per_axis([0.001] * count, 0))

    x = graph.input("x", (1, 12, 12, 3), "int8", q)
    y = graph.op(
        "CONV_2D", [x, weights("w", 0, 16, 3, 3, 3), bias("b", 16)], (1, 12, 12, 16), "int8", q
    )
    y = graph.op(
        "DEPTHWISE_CONV_2D",
        [y, weights("d", 3, 1, 3, 3, 16), bias("e", 16)],
        (1, 12, 12, 16),
        "int8",
        q,
    )
    y = graph.op("RESHAPE", [y, graph.constant("s", np.int32([1, 2304]))], (1, 2304), "int8", q)
    f = graph.constant("f", rng.integers(-127, 128, (10, 2304)).astype(np.int8), per_tensor(0.01))
    graph.output(graph.op("FULLY_CONNECTED", [y, f, -1], (1, 10), "int8", q))
    return graph.build()


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """What builds of both networks log, at several levels and layouts."""
    folder = tmp_path_factory.mktemp("models")
    found = set()
    for name, data in (("float", float_network()), ("int8", integer_network())):
        path = folder / f"{name}.tflite"
        path.write_bytes(data)
        for choices in (
            *({"opt_level": level} for level in range(5)),
            *({"layout": "nchw", "opt_level": level} for level in (0, 2, 3)),
            {"layout": "nchw", "convert_ops": ("conv2d",)},
            {"precision": "float"},
            {"pipeline": "stock"},
        ):
            found |= set(assay.compile(path, **choices).log)
    return found


def test_every_line_of_a_build_is_explained(lines):
    unexplained = {line for line in lines if not any(re.fullmatch(p, line) for p in patterns())}
    assert unexplained == set()


def test_every_line_that_is_explained_occurs(lines):
    # Guards: no model is known that gets there.
    rare = tuple(map(re.escape, ("left as plain loops", "no integer kernel solves")))
    absent = [p for p in patterns() if not any(re.fullmatch(p, line) for line in lines)]
    assert [p for p in absent if not any(words in p for words in rare)] == []
