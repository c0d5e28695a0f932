"""The picture of a graph: real Graphviz, and the SVG read back."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from assay.errors import MissingDependencyError
from assay.model.inspection import OperatorFacts, inspect
from assay.model.reader import read
from assay.report.graph import graph_svg
from tests.builder import GraphBuilder
from tests.model.networks import float_network

SVG = "{http://www.w3.org/2000/svg}"
drawn = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


@pytest.fixture
def operators(tmp_path: Path) -> tuple[OperatorFacts, ...]:
    (tmp_path / "model.tflite").write_bytes(float_network())
    return inspect(read(tmp_path / "model.tflite"))


def boxes(svg: str) -> dict[str, ElementTree.Element]:
    """The drawing of each operator, by the first line of its text."""
    groups = ElementTree.fromstring(svg.encode()).iter(f"{SVG}g")
    nodes = (group for group in groups if group.get("class") == "node")
    return {
        text.text or "": node for node in nodes if (text := node.find(f".//{SVG}text")) is not None
    }


def fill(node: ElementTree.Element) -> str:
    return node.find(f".//{SVG}polygon").get("fill")


def luminance(colour: str) -> int:
    return 0xFFFFFF if colour == "white" else sum(bytes.fromhex(colour.removeprefix("#")))


@drawn
def test_every_operator_and_tensor_is_drawn(operators):
    svg = graph_svg("a net", operators, {})
    named = {f"{each.index} {each.name}" for each in operators}
    assert set(boxes(svg)) == named | {"x"}
    arrows = sum(source >= -1 for each in operators for source in each.sources)
    assert svg.count('class="edge"') == arrows
    assert "a net" in svg


@drawn
def test_the_slowest_layer_is_the_darkest(operators):
    slow, quick, *_ = operators
    svg = graph_svg("a net", operators, {}, {slow.layer: 2.0, quick.layer: 0.5})
    found = boxes(svg)
    dark, light = (fill(found[f"{each.index} {each.name}"]) for each in (slow, quick))
    assert luminance(dark) < luminance(light)
    assert "2.000 ms" in svg


@drawn
def test_what_does_not_compile_stands_out_and_says_why(operators):
    plain = graph_svg("a net", operators, {})
    marked = graph_svg("a net", operators, {3: "its size is computed at run time"})
    assert marked.count("#b2182b") > plain.count("#b2182b") == 0
    assert "its size is computed at run time" in marked


@drawn
def test_names_are_shown_as_they_are(tmp_path):
    graph = GraphBuilder()
    x = graph.input("in:0", (2,))
    graph.output(graph.op("ABS", [x], (2,), output=r"a\n<b>&\G"))
    (tmp_path / "model.tflite").write_bytes(graph.build())
    svg = graph_svg("<t>", inspect(read(tmp_path / "model.tflite")), {})
    texts = {text.text for text in ElementTree.fromstring(svg.encode()).iter(f"{SVG}text")}
    assert {"in:0", r"a\n<b>&\G", "<t>"} <= texts


def test_without_graphviz_the_error_says_how_to_get_it(operators, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match=r"package graphviz, and assay\[picture\]"):
        graph_svg("a net", operators, {})
