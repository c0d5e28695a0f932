"""Links between pages lead somewhere, and every page can be found."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, PAGES, README, prose

LINK = re.compile(r"\]\(([^)\s]+)\)")


def targets(page):
    text = re.sub(r"`[^`\n]+`", "", prose(page.read_text()))
    return [link for link in LINK.findall(text) if "://" not in link]


def anchors(page):
    """The names that headings get, as GitHub makes them: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for link in targets(page):
        path, _, anchor = link.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), link
        assert not anchor or anchor in anchors(linked), link


def test_the_table_of_contents_has_every_page():
    index = DOCS / "index.md"
    listed = {(DOCS / link).name for link in targets(index)}
    assert {page.name for page in DOCS.glob("*.md")} - {index.name} <= listed
    assert "docs/index.md" in targets(README)


def test_pictures_are_small():
    pictures = list(DOCS.rglob("*.png"))
    assert pictures
    assert all(path.stat().st_size < 150_000 for path in pictures)
