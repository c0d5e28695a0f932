"""The HTML page: everything in one file, in the promised order, whatever names hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from assay.report.content import content, most_confused
from assay.report.html import report_html
from assay.report.svg import matrix_svg
from tests.lab.measured import CPU, SAMPLES, measured, measured_results
from tests.report.pages import RUN

SECTIONS = [
    *("verdict", "pareto", "latency", "accuracy", "answers", "compare", "remarks", "confusion"),
    *("sizes", "log", "machine", "reproduce"),
]
VOID = {"meta", "link", "br", "hr", "img", "input"}


@pytest.fixture(scope="module")
def page():
    return report_html(content(measured_results(*RUN)))


class Balance(HTMLParser):
    """Checks that tags close in order, and notes ids, labels and references."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.pictures: list[dict[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.references += [v for k, v in attrs if k in ("src", "href")]
        if tag == "svg":
            self.pictures.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()


def parse(text):
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    return parser


def test_it_is_whole_and_needs_no_other_file(page):
    found = parse(page)
    assert len(found.ids) == len(set(found.ids))
    for reference in found.references:
        assert reference == "data:," or reference.removeprefix("#") in found.ids
    assert not re.search(r"https?:|url\(|@import", page)
    assert len(page) < 500_000


def test_sections_come_in_order(page):
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS


def test_every_picture_has_a_text_alternative(page):
    pictures = parse(page).pictures
    assert len(pictures) == 2 + 3  # both widths; the reference's matrix, another, their difference
    for picture in pictures:
        assert picture["role"] == "img"
        assert len(picture["aria-label"]) > 20


def test_the_same_results_are_the_same_page(page):
    assert report_html(content(measured_results(*RUN))) == page


def test_it_is_complete_without_a_script(page):
    static = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    for text in (
        "Deploy tvm-int8-nhwc",
        "tvm-fp32-nhwc is 1.25 times as fast as tflite-fp32",
        "No measurable difference in accuracy",
        f"{SAMPLES} samples, 1 thread, {CPU}",
        "the clock follows the load",
        "assay lab --test",
        "ab" * 32,
        "cd" * 32,
        "[schedule] dense runs as plain loops",
        "LLVM gave up",
        "CONV_2D + ADD 1x1",
        "k 5.000 ms (4.500 to 5.500)",
        "it takes 5.000 ms more than tvm-fp32-nhwc, remarks explain 4.500 ms",
        "Plain loops use a &lt;fraction&gt; of the CPU. Build at opt level 3.",
        "[target] llvm",
    ):
        assert text in static


def test_names_are_no_markup(page):
    assert "&lt;one&gt; &amp; &#39;two&#39;" in page
    assert "<one>" not in page


def test_every_two_finished_experiments_can_be_compared(page):
    block = re.search(r'id="pairs">(.*?)</script>', page, re.DOTALL)
    pairs = json.loads(block[1])
    done = [e.name for e in RUN if e.status == "done"]
    assert set(pairs) == {f"{a} {b}" for a in done for b in done if a != b}


def test_old_results_say_that_nothing_took_turns(page):
    old = report_html(content(measured_results(*RUN[:3], in_turns=False)))
    note = "The experiments were timed one after another."
    assert note in old
    assert note not in page
    bare = report_html(content(measured_results(*RUN[:2], in_turns=False)))
    assert "These results hold no build logs." in bare
    assert "These results hold no remarks." in bare
    assert "These results hold no times of layers" in bare


def test_classes_are_named_along_the_axes_unless_there_are_too_many():
    few = matrix_svg([[1, 0], [2, 3]], ["cat", "<dog>"], "few")
    assert few.count(">cat</text>") == few.count(">&lt;dog&gt;</text>") == 2
    assert "<title>&lt;dog&gt; taken for cat: 2</title>" in few
    many = matrix_svg([[int(r == c) for c in range(61)] for r in range(61)], [], "many")
    assert "<text" not in many


@pytest.mark.parametrize("run", [(), RUN[-1:], RUN[:1]], ids=["none", "failed", "one"])
def test_little_is_reported_as_well(run):
    parse(report_html(content(measured_results(*run))))


def test_a_lone_experiment_without_times():
    lone = replace(measured("tflite-fp32", 1.0), timing=None)
    assert "Deploy" not in report_html(content(measured_results(lone, in_turns=False)))


def test_most_confused_classes_come_first():
    quality = replace(RUN[0].quality, confusion_matrix=[[5, 2, 0], [7, 1, 2], [0, 0, 9]])
    found = [(c.true, c.predicted, c.count) for c in most_confused(quality, ["a", "b"])]
    assert found == [("b", "a", 7), ("a", "b", 2), ("b", "2", 2)]


def test_predictions_that_are_equal_share_a_matrix():
    found = content(measured_results(*RUN))
    names = [m.experiment.name for m in found.matrices]
    assert names == ["tflite-fp32", "tflite-int8"]
    assert found.matrices[0].difference is None
    difference = found.matrices[1].difference
    assert sum(map(sum, difference)) == 0
    assert difference[0][0] + difference[1][1] + difference[2][2] + difference[3][3] == -1
    assert "tvm-fp32-nhwc" in found.alike["tflite-fp32"]
