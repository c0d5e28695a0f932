"""docs/log.md and docs/remarks.md explain every line that a build can log."""

from __future__ import annotations

import re

import pytest

import assay
from assay.compiler.remarks.catalogue import RULES
from tests.compiler.remarks.networks import dynamic_network, float_network, integer_network
from tests.docs.pages import DOCS


def pattern(line):
    """What a line matches, its words in capitals standing for any."""
    return re.escape(re.sub(r"(?<![\w-])[A-Z]{2,}(?![\w-])", "\0", line)).replace("\0", "(.+)")


def patterns():
    """The lines in the pages that begin with a bracket."""
    pages = "".join((DOCS / page).read_text() for page in ("log.md", "remarks.md"))
    return [pattern(line) for line in re.findall(r"^(?:- )?`(\[.+)`$", pages, re.MULTILINE)]


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """What builds of all the networks log, at several levels and layouts."""
    folder = tmp_path_factory.mktemp("models")
    found = set()
    for network in (float_network, integer_network, dynamic_network):
        path = folder / f"{network.__name__}.tflite"
        path.write_bytes(network())
        for choices in (
            *({"opt_level": level} for level in range(5)),
            *({"layout": "nchw", "opt_level": level} for level in (0, 2, 3)),
            {"layout": "nchw", "convert_ops": ("conv2d",)},
            {"precision": "float"},
            {"pipeline": "stock"},
            {"target": "llvm"},
            {"target": "llvm -mtriple=aarch64-linux-gnu"},
        ):
            found |= set(assay.compile(path, **choices).log)
    return found


def test_every_line_of_a_build_is_explained(lines):
    unexplained = {line for line in lines if not any(re.fullmatch(p, line) for p in patterns())}
    assert unexplained == set()


def test_every_line_that_is_explained_occurs(lines):
    # Guards, where no model is known that gets there, and machines with fewer instructions.
    rare = ("left as plain loops", "no integer kernel solves", "the code uses")
    # What times, threads or a second build tell is in no build's log.
    measured = {
        pattern(f"[{rule.id.partition('/')[0]}] {line}")
        for rule in RULES
        if rule.find is None
        for line in rule.lines
    }
    absent = {p for p in patterns() if not any(re.fullmatch(p, line) for line in lines)}
    assert {p for p in absent - measured if not any(re.escape(w) in p for w in rare)} == set()
