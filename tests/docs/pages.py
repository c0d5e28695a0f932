"""What the documentation's pages hold, for the tests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = (README, *sorted(DOCS.glob("*.md")))

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced code blocks of one language."""
    return [match[2] for match in _BLOCK.finditer(text) if match[1] == language]


def prose(text: str) -> str:
    """The page without its code blocks."""
    return _BLOCK.sub("", text)


def commands(text: str) -> list[list[str]]:
    """The command lines of the page's shell blocks, each split into words."""
    shells = (*blocks(text, "shell"), *blocks(text, "sh"))
    lines = (line for block in shells for line in _joined(block).splitlines())
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def transcripts(text: str) -> list[tuple[str, str]]:
    """The commands of "$ " lines in text blocks, each with the output shown below it."""
    sessions = (block for block in blocks(text, "text") if block.startswith("$ "))
    steps = (step for block in sessions for step in re.split(r"^\$ ", block, flags=re.M)[1:])
    return [(step.partition("\n")[0], step.partition("\n")[2]) for step in steps]


def _joined(block: str) -> str:
    return block.replace("\\\n", " ")
