"""The generated parts of the pages are what the code says today."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from assay.compiler.pipeline import KERNELS
from tests.docs.pages import DOCS, ROOT


def update(*options):
    command = [sys.executable, "tools/update_docs.py", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_pages_are_current():
    done = update("--check")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def stale(tmp_path):
    """A copy of the pages in which one option is missing and one subcommand altogether."""
    folder = tmp_path / "docs"
    shutil.copytree(DOCS, folder)
    page = folder / "cli.md"
    text = page.read_text().replace("--opt-level <int>", "--speed <int>")
    page.write_text(re.sub(r"<!-- begin help run -->.*<!-- end help run -->", "", text, flags=re.S))
    return folder


def test_a_page_that_is_not_is_named(stale):
    before = (stale / "cli.md").read_text()
    done = update("--check", "--docs", stale)
    assert done.returncode == 1
    assert "cli.md is out of date" in done.stderr
    assert "no page has a region 'help run'" in done.stderr
    assert (stale / "cli.md").read_text() == before


def test_and_is_mended_without_the_flag(stale):
    update("--docs", stale)
    assert "--opt-level <int>" in (stale / "cli.md").read_text()
    assert (stale / "targets.md").read_text() == (DOCS / "targets.md").read_text()


def test_every_pass_is_explained():
    text = (DOCS / "opt-levels.md").read_text()
    items = re.findall(r"^- ((?:\*\*\w+\*\*(?:, | and )?)+)", text, re.MULTILINE)
    explained = {name for item in items for name in re.findall(r"\w{4,}", item)}
    listed = set(re.findall(r"^\| \w+ \| `(\w+)` \|", text, re.MULTILINE))
    assert explained == listed
    assert {step.name for step in KERNELS} < listed
