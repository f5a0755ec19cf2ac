"""The canceller of a torture run stays for what is committed after producers were told to stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from chaos.arena import ROOT
from chaos.control import Control, Word
from tests.harness.waiting import wait_until

from chaos import tasks
from pgqueue import Client


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path / "control")


@pytest.fixture
def canceller(dsn: str, tmp_path: Path, control: Control) -> Iterator[subprocess.Popen[bytes]]:
    config = {"dsn": dsn, "home": str(tmp_path), "control": str(tmp_path / "control"), "seed": 1}
    control.say(Word(stop=True))
    process = subprocess.Popen(
        [sys.executable, "-m", "chaos.canceller", json.dumps(config)],
        cwd=ROOT,
        env={**os.environ, "PGQUEUE_DSN": dsn},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_cancels_what_comes_after_the_stop_and_leaves_when_all_is_over(
    dsn: str, control: Control, canceller: subprocess.Popen[bytes]
) -> None:
    with Client(dsn) as client, psycopg.connect(dsn, autocommit=True) as eyes:

        def sessions() -> int:
            row = eyes.execute(
                "select sessions from pg_stat_database where datname = current_database()"
            ).fetchone()
            assert row is not None
            return int(row[0])

        # It comes with a session for each look: the second says that it stays after the first.
        before = sessions()
        wait_until(lambda: sessions() >= before + 2 or canceller.poll() is not None)
        (done,) = client.enqueue_many([tasks.doomed.using(delay=120.0).job(0, 0.0)])

        def is_cancelled() -> bool:
            found = client.get_job(done.id)
            return found is not None and found.state == "cancelled"

        wait_until(lambda: is_cancelled() or canceller.poll() is not None)
        assert is_cancelled()
        assert canceller.poll() is None
    control.say(Word(stop=True, over=True))
    assert canceller.wait(20) == 0
