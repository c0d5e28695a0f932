# ruff: noqa: RUF001 - an en dash stands for what is absent
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from assay.report.table import comparison, comparison_markdown, print_comparison


def printed(results, width):
    stream = StringIO()
    print_comparison(results, Console(file=stream, width=width))
    return stream.getvalue()


def test_one_row_an_experiment_in_order(results):
    table = comparison(results)
    assert [row[0] for row in table.rows] == [
        "litert-fp32",
        "tvm-fp32-nhwc",
        "tvm-avx512",
        "stock",
    ]
    assert dict(zip(table.header, table.rows[1], strict=True)) == {
        "Experiment": "tvm-fp32-nhwc",
        "What": "tvm, as it comes",
        "Top-1": "75.00 %",
        "Top-5": "–",
        "Mean precision": "83.33 %",
        "Mean sensitivity": "87.50 %",
        "G-mean": "86.60 %",
        "Latency, mean ± std": "12.50 ± 1.25 ms",
        "Median": "12.50 ms",
        "First run": "50.00 ms",
        "Size": "4.00 MiB",
        "Compile time": "12.35 s",
        "Status": "done",
    }


def test_size_is_of_the_model_where_nothing_was_compiled(results):
    table = comparison(results)
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert (row["Size"], row["Compile time"]) == ("3.00 MiB", "–")


def test_experiments_without_numbers_say_why(results):
    rows = comparison(results).rows
    assert rows[2][2:] == ("–",) * 10 + ("skipped: no avx512f here",)
    assert rows[3][-1] == "failed: LLVM said: no | way [/x]"


def test_no_experiment_is_an_empty_table(results):
    empty = replace(results, experiments=[])
    assert comparison(empty).rows == ()
    assert len(comparison_markdown(empty).splitlines()) == 2
    assert "Experiment" in printed(empty, 80)


def test_each_markdown_line_has_all_cells(results):
    text = comparison_markdown(results)
    for line in text.splitlines():
        assert line.replace(r"\|", "").count("|") == 14
    assert r"no \| way \[/x\]" in text
    assert text.endswith("|\n")


def test_a_wide_terminal_shows_one_table(results):
    lines = printed(results, 220).splitlines()
    (row,) = [line for line in lines if line.startswith("tvm-fp32-nhwc")]
    for cell in comparison(results).rows[1]:
        assert cell in row


@pytest.mark.parametrize("width", [80, 120])
def test_a_narrow_terminal_shows_three_and_loses_nothing(results, width):
    output = printed(results, width)
    assert max(map(len, output.splitlines())) <= width
    assert sum(line.startswith("tvm-fp32-nhwc") for line in output.splitlines()) == 3
    for row in comparison(results).rows:
        for cell in row:
            assert cell in output


def test_a_very_narrow_terminal_wraps(results):
    output = printed(results, 40)
    assert max(map(len, output.splitlines())) <= 40
    assert "avx512f" in output


def test_a_long_reason_wraps_and_keeps_one_table(results):
    long = "word " * 60
    failed = replace(results.experiments[3], reason=long)
    output = printed(replace(results, experiments=[*results.experiments[:3], failed]), 220)
    assert output.split().count("word") == 60
    assert sum(line.startswith("tvm-fp32-nhwc") for line in output.splitlines()) == 1
