"""The documents by themselves: names, links, an index of all pages, what can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pgqueue"
DOCS = ROOT / "docs"
EXAMPLES = sorted((ROOT / "examples").rglob("*.md"))
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *EXAMPLES)
# Reports that commands write.
WRITTEN = (DOCS / "benchmarks", DOCS / "chaos")
REFERENCE = DOCS / "reference"
LONGEST = 110
LINES_OF_THE_README = 150
LINK = re.compile(r"\]\(([^)\s]+)\)")
WHOLE = re.compile(r"\[[^]]*\]\([^)]*\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"^```text\n.*?^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    titles = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_files_that_documents_name_exist() -> None:
    named = re.compile(r"`([a-z_]+/[\w./]*\w\.(?:py|sql|md))(?:::\w+)?`")
    for page in PAGES:
        for name in named.findall(page.read_text()):
            homes = (ROOT, SOURCE, ROOT / "tests", page.parent)
            assert any((home / name).exists() for home in homes), f"{page.name}: {name}"


def test_links_lead_somewhere() -> None:
    strays: list[str] = []
    for page in PAGES:
        for link in LINK.findall(FENCED.sub("", page.read_text())):
            if link.startswith(("http://", "https://", "mailto:")):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                strays.append(f"{name_of(page)}: {link}")
    assert not strays, "\n".join(strays)


def test_the_index_names_every_page_once() -> None:
    index = DOCS / "README.md"
    linked = [(DOCS / link).resolve() for link in LINK.findall(index.read_text())]
    pages = sorted(
        page
        for page in DOCS.rglob("*.md")
        # the reference has an index of its own
        if page != index and (page.parent != REFERENCE or page.name == "README.md")
    )
    assert sorted(page for page in linked if DOCS in page.parents) == pages


def test_the_readme_is_read_to_its_end() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LINES_OF_THE_README


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.parent not in WRITTEN],
    ids=name_of,
)
def test_lines_are_short(page: Path) -> None:
    """Except rows of tables, what a program prints, and links that cannot be broken."""
    long = [
        f"{name_of(page)}: {len(line)} characters: {line[:40]}"
        for line in PRINTED.sub("", page.read_text()).splitlines()
        if len(line) > LONGEST and not line.startswith("|") and " " in WHOLE.sub("", line).strip()
    ]
    assert not long, "\n".join(long)
