"""docs/agreement.md from what ``benchmarks.agreement`` stored: nothing is computed here anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

FLOAT_BAR = 1e-4
"""Largest difference of an FP32 network, as a share of its output's range."""

LEVELS = range(5)
LAYOUTS = ("nhwc", "nchw")

Outputs = Sequence[dict[str, Any]]


def share(outputs: Outputs) -> float:
    """Return the largest difference of any float output, as a share of its range."""
    return max(each["largest"] / each["range"] for each in outputs)


def steps(outputs: Outputs) -> Counter[int]:
    """Return how many values of all integer outputs differ by how many steps."""
    found: Counter[int] = Counter()
    for each in outputs:
        found.update({int(step): count for step, count in each["steps"].items()})
    return found


def mean_steps(outputs: Outputs) -> float:
    """Return the mean difference in steps."""
    found = steps(outputs)
    return sum(step * count for step, count in found.items()) / found.total()


def is_float(outputs: Outputs) -> bool:
    """Tell whether outputs are in floating point."""
    return "largest" in outputs[0]


def agrees(known: dict[str, Any], build: dict[str, Any]) -> bool:
    """Tell whether a build keeps its bar.

    FP32: ``FLOAT_BAR``, or no larger an error than the reference kernels have themselves.
    Dynamic-range and quantized: no further from the reference kernels than LiteRT's XNNPACK is, in
    the mean, or no value more than a step off.
    """
    ours, theirs = build["outputs"], known["xnnpack"]
    if known["precision"] == "fp32":
        return share(ours) <= FLOAT_BAR or (
            "error" in build and build["error"]["largest"] <= known["error"]["reference"]["largest"]
        )
    if is_float(ours):
        return share(ours) <= max(FLOAT_BAR, share(theirs))
    return max(steps(ours)) <= 1 or mean_steps(ours) <= mean_steps(theirs)


def verdict(known: dict[str, Any], build: dict[str, Any]) -> str:
    """Return one line about a build."""
    if "failure" in build:
        return f"failed: {build['failure']}"
    return f"{distance(build['outputs'])}{'' if agrees(known, build) else ' - TOO FAR'}"


def distance(outputs: Outputs) -> str:
    """Return the difference as a cell of a table."""
    if is_float(outputs):
        return f"{share(outputs):.1e}"
    found = steps(outputs)
    return f"{mean_steps(outputs):.4f} (max {max(found)})"


def page(found: dict[str, Any]) -> str:
    """Return the page as Markdown; ``found`` is what ``benchmarks.agreement`` stored."""
    models = sorted(
        ((name, known) for name, known in found["models"].items() if known["builds"]),
        key=lambda pair: (pair[1]["macs"], pair[0]),
    )
    floats = [pair for pair in models if is_float(pair[1]["xnnpack"])]
    quantized = [pair for pair in models if not is_float(pair[1]["xnnpack"])]
    parts = ["# Agreement with LiteRT", _INTRODUCTION, _summary(models)]
    parts += ["## FP32 and dynamic-range networks", _FLOAT, _table(floats)]
    exact = [pair for pair in floats if "error" in pair[1]]
    if exact:
        parts += ["### The error of each", _EXACT, _errors(exact)]
    parts += ["## Quantized networks", _QUANTIZED, _table(quantized), _DISTRIBUTION]
    parts += [_distributions(quantized), "## Conditions", _conditions(found, models)]
    return "\n\n".join(parts) + "\n"


def _summary(models: Iterable[tuple[str, dict[str, Any]]]) -> str:
    models = list(models)
    built = [(name, known, *each) for name, known in models for each in known["builds"].items()]
    wrong = [
        f"- {name}, level {pair.replace(':', ', ').upper()}: {verdict(known, build)}; "
        f"XNNPACK: {distance(known['xnnpack'])}"
        for name, known, pair, build in built
        if "failure" in build or not agrees(known, build)
    ]
    text = f"All of the {len(built)} builds of {len(models)} networks below keep their bar."
    if wrong:
        text = f"Of {len(built)} builds, {len(wrong)} do not keep their bar:\n\n" + "\n".join(wrong)
    return text


def _table(models: Sequence[tuple[str, dict[str, Any]]]) -> str:
    heading = ["network", "layout", *(f"level {level}" for level in LEVELS), "XNNPACK"]
    rows = [heading, ["---", "---", *["--:"] * 6]]
    for (name, known), layout in product(models, LAYOUTS):
        cells = [_cell(known, f"{level}:{layout}") for level in LEVELS]
        rows.append([name, layout.upper(), *cells, distance(known["xnnpack"])])
    return _markdown(rows)


def _errors(models: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return a table of distances from float64, of what the file holds them for."""
    builds = [f"{level}:{layout}" for level, layout in product(LEVELS, LAYOUTS)]
    shown = [
        pair for pair in builds if any("error" in k["builds"].get(pair, {}) for _, k in models)
    ]
    titles = [f"level {pair.replace(':', ', ').upper()}" for pair in shown]
    rows = [["network", "reference kernels", "XNNPACK", *titles]]
    rows.append(["---", *["--:"] * (2 + len(shown))])
    for name, known in models:
        found = [known["error"]["reference"], known["error"]["xnnpack"]]
        found += [known["builds"].get(pair, {}).get("error") for pair in shown]
        rows.append([name, *map(_error, found)])
    return _markdown(rows)


def _error(found: dict[str, float] | None) -> str:
    return "not run" if found is None else f"{found['largest']:.1e} ({found['mean']:.1e})"


def _cell(known: dict[str, Any], pair: str) -> str:
    build = known["builds"].get(pair)
    if build is None:
        return "not run"
    return "failed" if "failure" in build else distance(build["outputs"])


def _distributions(models: Sequence[tuple[str, dict[str, Any]]]) -> str:
    rows = [["network", "who", "values", "0", "1", "2", "3", "4 to 7", "8 and more"]]
    rows.append(["---", "---", *["--:"] * 7])
    for name, known in models:
        contenders = {"XNNPACK": known["xnnpack"]}
        for layout in LAYOUTS:
            build = known["builds"].get(f"3:{layout}", {})
            if "outputs" in build:
                contenders[f"level 3, {layout.upper()}"] = build["outputs"]
        for who, outputs in contenders.items():
            found = steps(outputs)
            buckets = [found[step] for step in range(4)]
            buckets.append(sum(count for step, count in found.items() if 4 <= step < 8))
            buckets.append(sum(count for step, count in found.items() if step >= 8))
            rows.append(
                [name, who, f"{found.total():,}", *(_percent(n, found.total()) for n in buckets)]
            )
    return _markdown(rows)


def _percent(count: int, total: int) -> str:
    return f"{count / total:.2%}" if count else ""


def _conditions(found: dict[str, Any], models: Sequence[tuple[str, dict[str, Any]]]) -> str:
    machine, versions = found["machine"], found["versions"]
    count = sum(len(known["builds"]) for _, known in models)
    lines = [
        f"CPU: {machine['cpu']} ({' '.join(machine['flags'])})",
        f"Software: {machine['os']}, Python {machine['python']}, "
        + ", ".join(f"{name} {number}" for name, number in versions.items()),
        f"{count} builds of {len(models)} networks; where it says not run, a build is missing here",
        f"Commits: {_commits(models)}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _commits(models: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return how many builds are of which commit of assay."""
    names = (build.get("commit", "") for _, known in models for build in known["builds"].values())
    found = Counter(names).most_common()
    return ", ".join(f"{name or 'earlier ones'} ({count} builds)" for name, count in found)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


_INTRODUCTION = """\
What assay's builds compute, against LiteRT's reference kernels: the plain loops that define what each operator of TFLite
means. Each network runs on 20 random inputs, uniform over the range of its data: all values of a quantized input; for a
float input what its quantized sibling stands for. `python -m benchmarks.agreement` writes this page."""  # noqa: E501

_FLOAT = """\
The largest difference of any value, as a share of the range of the output's values over all inputs. The bar is 1e-4 at
every level, also at level 4, which reorders sums (Winograd); beyond it, an error no larger than that of the reference
kernels (next table). XNNPACK is what LiteRT runs by default. LiteRT rounds the activations of dynamic-range networks
(`kws_ref_model_float32`) to 8 bits, in another way in each of its back ends, where assay's build computes in FP32:
there the bar is as far as XNNPACK is from the reference kernels."""  # noqa: E501

_EXACT = """\
The reference kernels round, too, after each product and sum. This is the largest difference (and the mean one) of each
from the same network computed in float64 (`benchmarks/float64.py`), again as shares of the range of the output's
values. A network amplifies what it rounds, some inputs more than others, and `efficientnet_b0` most of all: on which
input how much comes out is up to the order of sums, so that its largest errors say little. The means tell
the runtimes apart."""  # noqa: E501

_QUANTIZED = """\
The mean difference in steps of the output's scale, and the largest. A network amplifies roundings, so that LiteRT's own
back ends differ by more than a step. The bar: no value is off by more than one step, or the mean is no further from the
reference kernels than XNNPACK's. An output of indices (`deeplabv3`: the class of each pixel) counts a differing index
as 1. Levels 0 to 2 run quantized operators in FP32, and round as the integer kernels do that run from level 3 on."""  # noqa: E501

_DISTRIBUTION = "How many of all values are off by how many steps:"
