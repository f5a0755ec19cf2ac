"""Flows that code declares: what an enqueue writes of them, and when a worker declares them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from pgqueue import App, Flow, JobState
from tests.harness.waiting import eventually
from tests.worker.support import Eyes, eyes_on, working

JOBS = "select flow, flow_key, weight, rank > 0 as in_line from pgqueue.job order by id"


def make_app(dsn: str, **limits: Any) -> App:
    app = App(dsn)

    @app.task(flow=Flow("crm", key="customer", **limits))
    async def sync(customer: str) -> None: ...

    return app


async def declared(eyes: Eyes) -> Any:
    rows = await eyes.sql("select declared, settings from pgqueue.flow where name = 'crm'")
    assert all(row["declared"] == row["settings"] for row in rows)
    return json.loads(rows[0]["declared"]) if rows and rows[0]["declared"] else None


@pytest.mark.parametrize("how", ["single", "blocking", "bulk", "by name", "schedule"])
async def test_a_job_stands_in_the_line_of_its_key(dsn: str, how: str) -> None:
    app = make_app(dsn, key_concurrency=2)
    sync = app.tasks.get("sync").using(weight=3)
    match how:
        case "single":
            done = [await sync.aenqueue("acme")]
        case "bulk":
            done = await app.aenqueue_many([sync.job("acme"), sync.job("other")])
        case "by name":
            done = [await app.aenqueue("sync", {"customer": "acme"}, weight=3)]
        case "schedule":
            app.schedule("s", "sync", args={"customer": "acme"}, every=60, weight=3)
            await app.schedules.aset(
                "r", task="sync", args={"customer": "acme"}, every=60, weight=3
            )
            made = await app.schedules.arun("r")
            assert made is not None
            done = [made]
        case _:
            done = [await asyncio.to_thread(sync.enqueue, "acme")]
    assert {one.state for one in done} == {JobState.BLOCKED}
    async with eyes_on(dsn) as eyes:
        rows = [tuple(row) for row in await eyes.sql(JOBS)]
    assert rows[0] == ("crm", "acme", 3, True)
    assert rows[1:] == ([("crm", "other", 3, True)] if how == "bulk" else [])
    await app.aclose()


async def test_a_worker_declares_the_flows_of_its_code(dsn: str) -> None:
    async with eyes_on(dsn) as eyes, working(make_app(dsn, key_concurrency=2)):
        await eventually(lambda: declared(eyes), what="declared")
        assert await declared(eyes) == {"key_concurrency": 2}
        (audit,) = await eyes.sql("select actor, via, target from pgqueue.audit")
        assert audit["via"] == "code"
        assert json.loads(audit["target"]) == {
            "flow": "crm", "before": None, "after": {"key_concurrency": 2},
        }  # fmt: skip
        await eyes.sql("update pgqueue.flow set changed = '{\"concurrency\": 1}'")
        async with working(make_app(dsn, key_concurrency=3)):

            async def is_new() -> bool:
                rows = await eyes.sql("select settings from pgqueue.flow")
                return json.loads(rows[0][0]) == {"key_concurrency": 3, "concurrency": 1}

            await eventually(is_new, what="an operator's change stays")
        async with working(make_app(dsn, key_concurrency=3)):
            pass
        assert len(await eyes.sql("select from pgqueue.audit")) == 2


async def test_no_flow_is_declared_while_an_older_worker_is_there(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "pgqueue.worker")
    async with eyes_on(dsn) as eyes:
        await eyes.sql(
            "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, lease_seconds,"
            " pid, host, version, queues, concurrency) values (1, now(), now(),"
            " pg_postmaster_start_time(), 1000, 1, 'h', '0', '{}', 1)"
        )
        async with working(make_app(dsn, key_concurrency=2)):
            await eventually(lambda: "1 workers of an older version" in caplog.text, what="said")
            assert await declared(eyes) is None
            await eyes.sql("delete from pgqueue.worker where id = 1")
            await eventually(lambda: declared(eyes), what="declared")
    assert caplog.text.count("older version") == 1
