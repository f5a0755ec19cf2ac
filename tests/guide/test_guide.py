"""What the pages of the guide show works as it stands there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pgqueue.embedded.binaries import find
from tests.guide.page import PAGES, blocks_of, missing_lines, run_page, runs_beside
from tests.harness.servers import Server

pytestmark = pytest.mark.one_pg


@pytest.fixture
def environment(pg: Server) -> Iterator[dict[str, str]]:
    """Two empty databases, $PRODUCTION and $STAGING, and the programs of PostgreSQL."""
    names = [pg.create(), pg.create()]
    programs = (Path(sys.executable).parent, find(pg.major).bin_dir)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    yield {
        **kept,
        "PATH": os.pathsep.join([*map(str, programs), kept["PATH"]]),
        "PRODUCTION": pg.dsn_for(names[0]),
        "STAGING": pg.dsn_for(names[1]),
        "PGQUEUE_DSN": pg.dsn_for(names[0]),
        "COLUMNS": "300",
        **plugin(),
    }
    for name in names:
        pg.drop(name)


def plugin() -> dict[str, str]:
    """The plugin by name, where the environment was installed before it had an entry point."""
    known = {point.name for point in entry_points(group="pytest11")}
    return {} if "pgqueue" in known else {"PYTEST_PLUGINS": "pgqueue.pytest_plugin"}


def _page(page: Path) -> Any:
    """A page whose blocks start processes, and go on beside them, is run alone."""
    marks = [pytest.mark.alone] if runs_beside(page.read_text()) else []
    return pytest.param(page, id=page.stem, marks=marks)


@pytest.mark.parametrize("page", [_page(page) for page in PAGES])
def test_page(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    run_page(page, tmp_path, environment)


def test_blocks_are_found_with_what_they_print() -> None:
    page = "# Title\n\n```sh\necho a\n```\n\nprints\n\n```text\na\n```\n\n```python\n# x.py\n```\n"
    first, second = blocks_of(page)
    assert first == (3, "sh", "echo a\n", "a\n")
    assert second == (13, "python", "# x.py\n", "")


@pytest.mark.parametrize(
    ("text", "beside"),
    [("worker 2>log &\n", True), ("kill $!\n", True), ("a && b 2>&1\n", False)],
)
def test_a_page_that_starts_processes_is_known(text: str, beside: bool) -> None:
    assert runs_beside(f"```sh\n{text}```\n") == beside


def test_lines_are_looked_for_in_their_order() -> None:
    assert missing_lines("a ... c\nd\n", "x a b c\nd\n") == []
    assert missing_lines("d\na\n", "a\nd\n") == ["a"]


@pytest.mark.parametrize(
    "text",
    ["```sh\nfalse\n```\n", "```sh\ntrue\n```\n\n```text\npgqueue: no\n```\n",
     "```sh\necho a\n```\n\n```text\nb\n```\n", "```python\nraise ValueError\n```\n"],
)  # fmt: skip
def test_a_page_that_is_wrong_fails(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match=r"page\.md:1: "):
        run_page(page, tmp_path, os.environ)
