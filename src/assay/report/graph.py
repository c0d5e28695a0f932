"""A picture of a model's graph, laid out by Graphviz; layers carry the colours of a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assay.errors import MissingDependencyError
from assay.model.inspection import OperatorFacts
from assay.report.text import milliseconds

if TYPE_CHECKING:
    import graphviz

_MAKES_PRODUCTS = "#d6e6f4"
_OTHER = "#f2f2f2"
_UNSUPPORTED = "#b2182b"
_LONGEST_NAME = 40


def graph_svg(
    title: str,
    operators: Sequence[OperatorFacts],
    unsupported: Mapping[int, str],
    times_ms: Mapping[str, float] | None = None,
) -> str:
    """Return an SVG with a box for each operator, and an arrow for each tensor between two.

    ``unsupported`` gives the reason by operator index: such boxes have a red border. ``times_ms``
    is the time of each layer by its name; with it a box is the darker the longer it takes.
    MissingDependencyError if Graphviz or its Python package is not installed.
    """
    try:
        import graphviz
    except ImportError as error:
        raise _missing() from error
    graph = graphviz.Digraph(
        graph_attr={"label": _escaped(title), "labelloc": "t", "fontname": "sans-serif"},
        node_attr={"shape": "box", "style": "filled", "fontname": "sans-serif", "fontsize": "10"},
        edge_attr={"fontname": "sans-serif", "fontsize": "8", "color": "#555555"},
    )
    colours = _Colours(times_ms)
    for operator in operators:
        _add_box(graph, operator, colours, unsupported.get(operator.index))
    _add_arrows(graph, operators)
    try:
        return str(graph.pipe(format="svg", encoding="utf-8"))
    except graphviz.ExecutableNotFound as error:
        raise _missing() from error


class _Colours:
    """Fill and text colour of a box: by time where a profile is given, else by kind."""

    def __init__(self, times_ms: Mapping[str, float] | None) -> None:
        self.times_ms = times_ms
        self.longest = max(times_ms.values(), default=0.0) if times_ms else 0.0

    def of(self, operator: OperatorFacts) -> tuple[str, str]:
        if self.times_ms is None:
            return (_MAKES_PRODUCTS if operator.macs else _OTHER), "black"
        share = self.times_ms.get(operator.layer, 0.0) / self.longest if self.longest else 0.0
        return _sequential(share), "white" if share > 0.55 else "black"


def _sequential(share: float) -> str:
    """Return a colour from white (0) to dark blue (1); it differs in lightness throughout."""
    low, high = (255, 255, 255), (8, 48, 107)
    mixed = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _add_box(
    graph: graphviz.Digraph, operator: OperatorFacts, colours: _Colours, why_not: str | None
) -> None:
    fill, text = colours.of(operator)
    lines = [f"{operator.index} {operator.name}", _shortened(operator.layer)]
    if operator.macs:
        lines.append(f"{operator.macs / 1e6:,.2f} M MACs")
    if colours.times_ms is not None and operator.layer in colours.times_ms:
        lines.append(milliseconds(colours.times_ms[operator.layer]))
    border = {"color": _UNSUPPORTED, "penwidth": "3"} if why_not else {"color": "#555555"}
    graph.node(
        str(operator.index),
        label=_escaped("\n".join(lines)),
        tooltip=_escaped(f"{operator.layer}\n{operator.scheme}\n{why_not or ''}"),
        fillcolor=fill,
        fontcolor=text,
        **border,
    )


def _add_arrows(graph: graphviz.Digraph, operators: Sequence[OperatorFacts]) -> None:
    shapes = {
        (operator.index, name): "x".join(map(str, shape)) or "scalar"
        for operator in operators
        for name, shape in zip(operator.outputs, operator.shapes, strict=True)
    }
    starts: dict[str, str] = {}
    for operator in operators:
        for name, source in zip(operator.inputs, operator.sources, strict=True):
            if source >= 0:
                graph.edge(str(source), str(operator.index), label=shapes[source, name])
                continue
            start = starts.setdefault(name, f"input{len(starts)}")
            graph.node(start, label=_escaped(_shortened(name)), shape="ellipse", fillcolor="white")
            graph.edge(start, str(operator.index))


def _escaped(text: str) -> str:
    """Return text so that Graphviz shows it as it is: neither backslashes nor <> are special."""
    import graphviz

    escaped: str = graphviz.escape(text)  # of a class of its own: str() would make it HTML again
    return escaped


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]


def _missing() -> MissingDependencyError:
    return MissingDependencyError(
        "a picture of the graph needs Graphviz and its Python package; install your system's "
        "package graphviz, and assay[picture]"
    )
