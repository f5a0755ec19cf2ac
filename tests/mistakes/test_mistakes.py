"""Typical mistakes of newcomers: each is made, and its message is the one of the table."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.pgbouncer import bouncer
from tests.harness.servers import Server, with_database
from tests.mistakes.mistake import Mistake, matches, said_by
from tests.mistakes.page import PAGE, page
from tests.mistakes.table import TABLE

pytestmark = [
    pytest.mark.one_pg,
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]
ROWS = [(area, row) for area, rows in TABLE.items() for row in rows]
IDS = [f"{area}: {(row.command or row.says)[:60]}" for area, row in ROWS]
_LONGEST = 320


@pytest.fixture
def environment(
    pg: Server, dsn: str, row: Mistake, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """PGQUEUE_DSN, and the dsns of an empty database, of none, and through a pooler."""
    empty = pg.create()
    for name in ("PGQUEUE_APP", "PGQUEUE_SCHEMA", "PGQUEUE_TRACEBACK", "PYTHONSAFEPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGQUEUE_DSN", dsn)
    monkeypatch.setenv("EMPTY", pg.dsn_for(empty))
    monkeypatch.setenv("NO_DATABASE", with_database(dsn, "shop"))
    monkeypatch.setenv("COLUMNS", "300")
    kept = dict(sys.modules)  # a row takes some away
    with bouncer(dsn) if "POOLED" in row.code else contextlib.nullcontext(dsn) as pooled:
        monkeypatch.setenv("POOLED", pooled)
        yield dict(os.environ)
    for module in [name for name, held in sys.modules.items() if held is None]:
        sys.modules.pop(module)
        if module in kept:
            sys.modules[module] = kept[module]
    pg.drop(empty)


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=IDS)
def test_a_mistake_is_met_with_its_message(
    row: Mistake, environment: dict[str, str], tmp_path: Path
) -> None:
    said = said_by(row, tmp_path, environment)
    assert any(matches(row.says, line) for line in said), "\n".join(said)


def test_there_are_forty_and_no_message_is_long() -> None:
    assert len(ROWS) >= 40
    assert [row.says for _, row in ROWS if len(row.says) > _LONGEST] == []


def test_the_page_says_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), "run make pages"


def test_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert matches("got <a ...>; b", "got <a at 0x1>; b")
    assert not matches("got <a ...>; b", "got <a at 0x1>; b!")
    assert not matches("got a.b", "got axb")
