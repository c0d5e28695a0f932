"""Tables of one line a layer."""

from __future__ import annotations

import io

from rich.console import Console

from assay.cli.rows import layer_name, print_rows


def printed(width: int, *, terminal: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, no_color=True)
    rows = [("1", "12,345.6", "a" * 50), ("2", "[bold]", "b")]
    print_rows(("", "us", "layer"), rows, ("layer",), "caption", console)
    return console.file.getvalue().splitlines()


def test_a_narrow_terminal_cuts_words_and_no_number():
    lines = printed(40, terminal=True)
    first = next(line for line in lines if "12,345.6" in line)
    assert "aaaaaaaa" in first
    assert "…" in first
    assert all(len(line) <= 40 for line in lines if "\x1b" not in line)
    assert not any("aaaa" in line and "12,345.6" not in line for line in lines)


def test_a_pipe_gets_every_word_whole():
    lines = printed(40, terminal=False)
    assert any("12,345.6" in line and "a" * 50 in line for line in lines)


def test_what_looks_like_markup_is_text():
    assert any("[bold]" in line for line in printed(80, terminal=False))


def test_of_joined_names_the_first_that_says_something_is_shown():
    assert layer_name("StatefulPartitionedCall:0;block/Relu6;block/Conv2D") == "block/Relu6"
    assert layer_name("StatefulPartitionedCall:0") == "StatefulPartitionedCall:0"
    assert layer_name("") == ""
