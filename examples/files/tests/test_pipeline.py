"""A scan and its jobs in the transaction of the test."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pgqueue.testing import Kit

from pipeline.jobs import load
from pipeline.parse import BadFile, Sale, parse
from pipeline.scan import scan

Connection = psycopg.Connection[Any]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "monday.csv").write_text("2026-11-30,tea,250\n2026-11-30,cake,400\n")
    (tmp_path / "poison.csv").write_text("2026-12-01,tea,250\n2026-12-01,cake,four\n")
    return tmp_path


def test_a_file_is_parsed(inbox: Path) -> None:
    day = date(2026, 11, 30)
    assert list(parse(inbox / "monday.csv")) == [
        Sale(1, day, "tea", 250),
        Sale(2, day, "cake", 400),
    ]
    with pytest.raises(BadFile, match=r"poison\.csv, line 2: invalid literal for int"):
        list(parse(inbox / "poison.csv"))


def test_each_file_gets_one_job(inbox: Path, pgq: Kit, pgq_connection: Connection) -> None:
    with pgq.assert_enqueues(load, count=2):
        assert scan(pgq_connection, inbox) == 2
    with pgq.refute_enqueues(load):
        assert scan(pgq_connection, inbox) == 0


def test_a_poison_file_is_a_dead_letter(inbox: Path, pgq: Kit, pgq_connection: Connection) -> None:
    scan(pgq_connection, inbox)
    done = pgq.drain(raise_errors=False)
    assert done == {"completed": 1, "dead": 1}
    assert "poison.csv, line 2" in str(done.failures[0])
    loaded = pgq_connection.execute(
        "select path, sales from file where loaded_at is not null and path like %s", [f"{inbox}/%"]
    )
    monday = str(inbox / "monday.csv")
    assert loaded.fetchall() == [(monday, 2)]
    total = pgq_connection.execute("select sum(cents) from sale where path = %s", [monday])
    assert total.fetchone() == (650,)


def test_a_file_that_is_away_is_tried_again(
    inbox: Path, pgq: Kit, pgq_connection: Connection
) -> None:
    scan(pgq_connection, inbox)
    (inbox / "monday.csv").unlink()
    assert pgq.drain(raise_errors=False) == {"retried": 1, "dead": 1}
