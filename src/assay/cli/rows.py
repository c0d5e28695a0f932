"""Tables of one line a layer: names are cut to what the terminal leaves them, never folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console

_SHORTEST = 8
"""Characters that stay of each column of words, however narrow the terminal is."""


def print_rows(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: Collection[str],
    caption: str,
    console: Console,
) -> None:
    """Print a table of texts, one line a row; columns not among ``words`` hold numbers.

    A terminal too narrow for all of it cuts words, the longest first. Into a file or a pipe
    nothing is cut.
    """
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    columns = zip(titles, *rows, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    of_words = [index for index, title in enumerate(titles) if title in words]
    needed = sum(widths) + 2 * len(widths) + 1
    if console.is_terminal:
        _cut(widths, of_words, needed - console.width)
    else:
        console.width = max(console.width, needed)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption=caption)
    for index, (title, width) in enumerate(zip(titles, widths, strict=True)):
        justify: Literal["left", "right"] = "left" if index in of_words else "right"
        table.add_column(title, width=width, justify=justify, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _cut(widths: list[int], of_words: list[int], excess: int) -> None:
    """Take ``excess`` characters from the widest of the columns that may be cut."""
    for _ in range(excess):
        widest = max(of_words, key=lambda index: widths[index])
        if widths[widest] <= _SHORTEST:
            return
        widths[widest] -= 1


def layer_name(name: str) -> str:
    """Return a layer's name for one line: of those joined by ``;`` the first that says something.

    TFLite's converter joins the names of all operators that it fused into one; each finds it.
    """
    names = (each for each in name.split(";") if not each.startswith("StatefulPartitionedCall"))
    return next(names, name)
