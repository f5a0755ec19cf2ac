"""Restores of docs/guide/backup.md that need servers of their own: a moment, and a replica."""

from __future__ import annotations

import asyncio
import configparser
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App, Client, SchemaError, Worker
from pgqueue.embedded import Cluster
from pgqueue.embedded import account as accounts
from pgqueue.embedded.binaries import find
from tests.guide.page import files_of
from tests.harness.servers import SETTINGS, Server, own_server
from tests.harness.waiting import wait_until
from tests.worker.support import quick

pytestmark = [pytest.mark.one_pg, pytest.mark.alone]

FILES = files_of((Path(__file__).parents[2] / "docs" / "guide" / "backup.md").read_text())


def run(dsn: str) -> list[str]:
    """Work off what is there; return what ran."""
    app = App(dsn)
    ran: list[str] = []

    @app.task
    def note(what: str) -> None:
        ran.append(what)

    try:
        asyncio.run(Worker(app, **quick()).run(until_idle=True))
    finally:
        app.close()
    return sorted(ran)


def enqueue(dsn: str, *what: str) -> list[int]:
    with Client(dsn) as client:
        return [client.enqueue("note", {"what": one}).id for one in what]


def recovery(**changes: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(f"[recovery]\n{FILES['recovery.conf']}")
    found = {name: value.strip("'") for name, value in parser["recovery"].items()}
    assert set(changes) < set(found)
    return {**found, **changes}


@pytest.fixture
def place(pg: Server) -> Any:
    """A directory that the account of the servers owns."""
    assert pg.cluster is not None
    place = pg.cluster.data_dir.parent / "backup"
    account = accounts.current()
    for directory in (place, place / "wal", place / "copy"):
        directory.mkdir(mode=0o755)
        account.own(directory)
    yield place
    shutil.rmtree(place)


def base_backup(server: Server, target: Path) -> None:
    assert server.cluster is not None
    account = accounts.current()
    subprocess.run(
        [find(server.major)["pg_basebackup"], "-D", str(target), "-X", "stream", "-c", "fast",
         "--no-sync", "-d", server.cluster.dsn],
        cwd="/", check=True, user=account.user, group=account.group,
        extra_groups=account.extra_groups,
    )  # fmt: skip
    (target / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # that of the original's socket


def test_a_restored_moment_has_the_jobs_of_that_moment_and_workers_start(
    pg: Server, place: Path
) -> None:
    archive = {"archive_mode": "on", "archive_command": f"cp %p {place}/wal/%f"}
    copied = place / "copy" / "data"
    with own_server(pg.major, settings=archive) as server:
        name = server.create()
        dsn = server.dsn_for(name)
        with Client(dsn) as client:
            client.migrate()
        base_backup(server, copied)
        enqueue(dsn, "before")
        ((moment,),) = server.execute("select clock_timestamp()::text")
        enqueue(dsn, "after")
        ((segment,),) = server.execute("select pg_walfile_name(pg_switch_wal())")
        archived = f"select last_archived_wal >= '{segment}' from pg_stat_archiver"
        wait_until(lambda: server.execute(archived) == [(True,)], what="the log is archived")
    (copied / "recovery.signal").touch()
    settings = recovery(restore_command=f'cp {place}/wal/%f "%p"', recovery_target_time=moment)
    restored = Cluster(copied, find(pg.major), settings={**SETTINGS, **settings})
    try:
        restored.start()
        dsn = restored.dsn_for(name)
        there = Server(restored.dsn, restored)
        wait_until(
            lambda: there.execute("select pg_is_in_recovery()") == [(False,)], what="it is promoted"
        )
        there.leave()
        assert run(dsn) == ["before"]
    finally:
        restored.stop("immediate")


def psql(server: Server, dsn: str, sql: str, *options: str) -> None:
    subprocess.run(
        [find(server.major).bin_dir / "psql", "-qv", "ON_ERROR_STOP=1", *options, dsn],
        input=sql, text=True, check=True,
    )  # fmt: skip


def count(dsn: str) -> int:
    with Client(dsn) as client:
        return len(client.list_jobs())


def test_a_replica_becomes_the_original_and_runs_each_job_once(pg: Server) -> None:
    with (
        own_server(pg.major, settings={"wal_level": "logical"}) as old,
        own_server(pg.major) as new,
    ):
        was, now = (server.dsn_for(server.create()) for server in (old, new))
        for dsn in (was, now):
            with Client(dsn) as client:
                client.migrate()
        enqueue(was, "done")
        assert run(was) == ["done"]
        enqueue(was, "a", "b")
        psql(old, was, FILES["publish.sql"])
        psql(new, now, FILES["subscribe.sql"], "-v", f"production={was}")
        wait_until(lambda: count(now) == 2, what="what was there is copied")
        (last,) = enqueue(was, "c")
        wait_until(lambda: count(now) == 3, what="what is new is copied")
        with pytest.raises(SchemaError, match="was made for another database"):
            run(now)
        psql(new, now, "drop subscription shop")
        with Client(now) as client:
            assert client.status().damage
            client.migrate()
            assert not client.status().damage
            assert client.adopt()
        (new_id,) = enqueue(now, "d")
        assert new_id > last
        assert run(now) == ["a", "b", "c", "d"]
