# ruff: noqa: RUF001 - an en dash stands for what is absent
import math

import pytest

from assay.lab.results import Timing
from assay.report import text


def test_numbers_carry_their_unit():
    assert text.percent(0.91234) == "91.23 %"
    assert text.percent(1) == "100.00 %"
    assert text.seconds(12.345) == "12.35 s"
    assert text.mebibytes(3 * 2**20) == "3.00 MiB"
    assert text.mebibytes(43392) == "42.38 KiB"
    assert text.byte_count(2**20) == "1.00 MiB (1048576 bytes)"


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0.01234, "0.0123 ms"),
        (1.23456, "1.235 ms"),
        (12.3456, "12.35 ms"),
        (123.456, "123.5 ms"),
        (1234.56, "1234.6 ms"),
    ],
)
def test_milliseconds_keep_about_four_digits(ms, shown):
    assert text.milliseconds(ms) == shown


def test_mean_and_std_share_their_decimals():
    timing = Timing(1, [1], 12.345, 0.2468, 12, 11, 13, 14)
    assert text.mean_and_std(timing) == "12.35 ± 0.25 ms"


def test_what_is_absent_is_a_dash_and_what_is_not_finite_is_said():
    formats = (text.percent, text.milliseconds, text.seconds, text.mean_and_std)
    assert {show(None) for show in (*formats, text.mebibytes, text.byte_count, text.fact)} == {"–"}
    assert {show(math.nan) for show in formats[:3]} == {"n/a"}
    assert text.mean_and_std(Timing(1, [1], 2.0, math.inf, 1, 1, 1, 1)) == "2.000 ± n/a"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (0.5, "0.5"),
        ("two\nlines", "two lines"),
        ([1, "a", None], "1, a, –"),
        ({"a": 1, "b": [True]}, "a: 1, b: yes"),
        ([], "–"),
        ({}, "–"),
        ("", "–"),
    ],
)
def test_facts_fit_on_one_line(value, shown):
    assert text.fact(value) == shown


def test_control_characters_do_not_reach_a_terminal():
    assert text.one_line("a\x1b[31mred\x00\r\nb") == "a�[31mred� b"


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("american_bulldog", "american_bulldog"),
        ("__init__", r"\_\_init\_\_"),
        ("a | b", r"a \| b"),
        ("*bold* <b> `code` [link](x) $x$", r"\*bold\* \<b\> \`code\` \[link\](x) \$x\$"),
        ("C:\\x &lt;", r"C:\\x \&lt;"),
    ],
)
def test_markdown_is_escaped(raw, escaped):
    assert text.markdown(raw) == escaped


@pytest.mark.parametrize(
    ("raw", "span"),
    [("plain", "`plain`"), ("a`b", "``a`b``"), ("``", "``` `` ```"), ("a|b", r"`a\|b`")],
)
def test_code_spans_outlast_their_content(raw, span):
    assert text.code(raw) == span


def test_code_blocks_outlast_their_content():
    assert text.code_block("run") == "```text\nrun\n```"
    assert text.code_block("a ``` b\nc") == "````text\na ``` b c\n````"
