"""Rewrite the generated parts of the pages in docs/.

    python tools/update_docs.py             # rewrite what is out of date
    python tools/update_docs.py --check     # only name it, exit code 1 if there is any

A page holds `<!-- begin NAME -->` and `<!-- end NAME -->` lines; what lies between them comes from
the code and is replaced. Everything else on the page is written by hand.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import typer
from typer.testing import CliRunner

from assay.cli.main import app
from assay.compiler import config, pipeline, target
from assay.compiler.frontend import operators as tflite_operators
from assay.compiler.frontend.onnx import operators as onnx_operators
from assay.compiler.remarks.catalogue import RULES
from assay.compiler.remarks.fix import command, options_of
from assay.compiler.remarks.rule import Example
from assay.lab.plan import Experiment, plan

DOCS = Path(__file__).parents[1] / "docs"
REGION = re.compile(r"^<!-- begin (.+) -->\n.*?^<!-- end \1 -->$", re.DOTALL | re.MULTILINE)

X86 = "-mtriple=x86_64-linux-gnu"
CPUS = (
    "llvm",
    "llvm -mcpu=nehalem",
    "llvm -mcpu=core-avx2",
    "llvm -mcpu=x86-64-v3",
    "llvm -mcpu=alderlake",
    "llvm -mcpu=skylake-avx512",
    "llvm -mcpu=cascadelake",
    "llvm -mcpu=znver4",
    "llvm -mcpu=sapphirerapids",
    "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72",
    "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76",
    "llvm -mtriple=riscv64-linux-gnu -mcpu=generic-rv64",
)


def generators() -> dict[str, Callable[[], str]]:
    """Return what makes each region, by the region's name."""
    group = typer.main.get_command(app)
    commands = {f"help {name}": partial(help_text, name) for name in group.commands}
    tables = {
        "passes": pass_table,
        "isa": isa_table,
        "experiments": experiment_table,
        "TFLite operators": tflite_operators.operators_table,
        "ONNX operators": onnx_operators.operators_table,
    }
    return {"help": help_text, "remarks": remark_list, **commands, **tables}


def help_text(*command: str) -> str:
    """Return what ``assay COMMAND --help`` prints on a terminal 80 columns wide."""
    done = CliRunner().invoke(app, [*command, "--help"], prog_name="assay", env={"COLUMNS": "80"})
    return f"```text\n{done.output.strip()}\n```"


def pass_table() -> str:
    """Return the passes in their order, with the opt levels and options that run them."""
    levels = list(config.OPT_LEVELS)
    rows = [["Part", "Pass", *map(str, levels), "Depends on"]]
    rows += [["---", "---", *([":-:"] * len(levels)), "---"]]
    for part, steps in parts().items():
        for step in steps:
            runs = ["x" if level >= step.level else "" for level in levels]
            rows.append([part, f"`{step.name}`", *runs, ", ".join(conditions(step))])
    return table(rows)


def remark_list() -> str:
    """Return what each kind of remark means, its evidence, its reason and what to try."""
    parts = []
    for rule in sorted(RULES, key=lambda rule: rule.id):
        lines = "\n".join(f"- `[{rule.id.partition('/')[0]}] {line}`" for line in rule.lines)
        parts.append(
            f"## {rule.id}\n\n{rule.meaning}\n\n{lines}\n\n"
            f"Why it matters: {rule.why}\n\nWhat to try: {rule.advice}\n\n"
            f"For example,\n\n```shell\n{example_command(rule.example)}\n```\n\n"
            f"{'logs' if rule.example.explain is None else 'shows'} "
            f"`[{rule.id.partition('/')[0]}] {rule.example.evidence}`."
        )
    return "\n\n".join(parts)


def example_command(example: Example) -> str:
    """Return the command of an example, as it can be typed."""
    if example.explain is None:
        return f"{command(Path(example.model), example.config)} --log build.log"
    options = [*options_of(example.config), *example.explain]
    return shlex.join(["assay", "explain", example.model, *options])


def parts() -> dict[str, tuple[pipeline.Step, ...]]:
    """Return the parts of the pipeline by name, in the order in which they run."""
    tuples = ((name, value) for name, value in vars(pipeline).items() if isinstance(value, tuple))
    return {
        name.lower(): value
        for name, value in tuples
        if value and all(isinstance(step, pipeline.Step) for step in value)
    }


def conditions(step: pipeline.Step) -> Iterator[str]:
    """Yield the options that turn a step on, or off where it runs without them."""
    plain = config.Config(layout="nhwc")
    default = step.when(plain)
    for field, choices in (("layout", config.Layout), ("precision", config.Precision)):
        for choice in get_args(choices):
            if step.when(replace(plain, **{field: choice})) != default:
                yield f"{'not ' if default else ''}`--{field} {choice}`"


def isa_table() -> str:
    """Return what kernels are made for on some targets."""
    rows = [["Target", "Vector", "Registers", "FMA", "8-bit dot product", "Tiles"]]
    rows += [["---", "--:", "--:", "---", "---", "---"]]
    for text in CPUS:
        isa = target.resolve_target(text if "-mtriple" in text else f"{text} {X86}").isa
        fma, tiles = ("yes" if has else "no" for has in (isa.fma, isa.tiles))
        cells = [f"`{text}`", f"{isa.vector_bits} bits", str(isa.registers), fma, isa.dot, tiles]
        rows.append(cells)
    return table(rows)


def experiment_table() -> str:
    """Return the lab's experiments: what each runs, and how it is built."""
    rows = [["Experiment", "Model", "Runtime", "Layout", "Opt level", "Converted", "Target"]]
    rows += [["---", "---", "---", "---", ":-:", "---", "---"]]
    for experiment in plan():
        row = [f"`{experiment.name}`", experiment.model.upper(), experiment.runtime]
        rows.append([*row, *build_cells(experiment)])
    return table(rows)


def build_cells(experiment: Experiment) -> list[str]:
    """Return layout, opt level, converted operators and target of an experiment's build."""
    made = experiment.config
    if made is None:
        return [""] * 4
    if made.pipeline == "stock":
        return ["NHWC", "", "", "as given"]
    ops = ", ".join(f"`{op}`" for op in made.convert_ops) if made.convert_ops else "all that can"
    converted = ops if made.layout == "nchw" else ""
    target = f"`{made.target}`" if experiment.own_target else "as given"
    return [made.layout.upper(), str(made.opt_level), converted, target]


def table(rows: list[list[str]]) -> str:
    """Return rows of cells as Markdown."""
    lines = ("|".join(f" {cell} " if cell else " " for cell in row) for row in rows)
    return "\n".join(f"|{line}|" for line in lines)


def regenerate(text: str, make: dict[str, Callable[[], str]]) -> str:
    """Return a page with all of its regions made anew; KeyError for one that nothing makes."""

    def region(found: re.Match[str]) -> str:
        name = found[1]
        return f"<!-- begin {name} -->\n\n{make[name]()}\n\n<!-- end {name} -->"

    return REGION.sub(region, text)


def main() -> None:
    """Rewrite or check all pages, and name each one that is out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    options = parser.parse_args()
    make = generators()
    pages = {path: path.read_text() for path in sorted(options.docs.glob("*.md"))}
    found = {match[1] for text in pages.values() for match in REGION.finditer(text)}
    problems = [f"no page has a region {name!r}" for name in make if name not in found]
    for path, text in pages.items():
        new = regenerate(text, make)
        if new == text:
            continue
        if options.check:
            problems.append(f"{path.name} is out of date: run tools/update_docs.py")
        else:
            path.write_text(new)
            print(f"{path.name} rewritten")
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
