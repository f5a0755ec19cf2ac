"""Jobs in line have a state everywhere: in status, in queues, in lists, for operators."""

from __future__ import annotations

from pgqueue import App
from tests.flow.conftest import Line


async def test_status_counts_what_waits_in_line(app: App, line: Line) -> None:
    await line.declare(concurrency=1)
    await line.put("a", "b", "c")
    await line.admit()
    found = await app.astatus()
    assert {state: count for state, count in found.jobs.items() if count} == {
        "blocked": 2, "pending": 1,
    }  # fmt: skip
    (queue,) = found.queues
    assert (queue.ready, queue.blocked) == (1, 2)
    assert found.still_flows == ()


async def test_a_queue_of_jobs_in_line_alone_is_known(app: App, line: Line) -> None:
    await line.put("a", queue="mail")
    queues = {queue.name: queue.blocked for queue in await app.aqueues()}
    assert queues == {"default": 0, "mail": 1}


async def test_status_says_what_stands_still(app: App, line: Line) -> None:
    await line.declare()
    await line.put("a", "b")
    await app.flows.apause("crm", key="a")
    (still,) = (await app.astatus()).still_flows
    assert (still.name, still.waiting, still.paused_keys) == ("crm", 2, 1)
    assert still.paused_at is None
    await app.flows.apause("crm")
    (still,) = (await app.astatus()).still_flows
    assert still.paused_at is not None
    await line.sql("delete from @.job")
    assert (await app.astatus()).still_flows == (), "nothing waits"


async def test_run_now_brings_a_job_in_line(app: App, line: Line) -> None:
    await line.declare(concurrency=1)
    first, second = await line.put("a", "a", delay=3600)
    results = await app.aretry([first, second])
    assert [(result.state, result.changed) for result in results] == [("blocked", True)] * 2
    assert await line.admit() == 1
    assert await line.admitted() == [first]


async def test_jobs_in_line_are_listed_and_cancelled(app: App, line: Line) -> None:
    await line.declare(concurrency=1)
    admitted, waiting = await line.put("a", "a")
    await line.admit()
    assert [job.id for job in await app.alist_jobs(state="blocked")] == [waiting]
    assert await app.amatch_jobs(state="blocked") == [waiting]
    (other,) = await line.put("b", flow="mail")
    assert [job.id for job in await app.alist_jobs(flow="crm")] == [waiting, admitted]
    assert [job.id for job in await app.alist_jobs(state="pending", flow="crm")] == [admitted]
    assert [job.id for job in await app.alist_jobs(flow_key="b")] == [other]
    assert await app.alist_jobs(state="running", flow="crm", flow_key="a") == []
    assert await app.amatch_jobs(flow="crm", flow_key="a") == [admitted, waiting]
    assert await app.acancel(await app.amatch_jobs(flow="mail")) != []
    job = await app.aget_job(waiting)
    assert job is not None
    assert (job.state, job.run_at) == ("blocked", None)
    assert [r.state for r in await app.aretry([waiting])] == ["blocked"], "it waits already"
    results = await app.acancel([admitted, waiting])
    assert [result.state for result in results] == ["cancelled", "cancelled"]
    assert await line.value("select count(*) from @.job") == 0


async def test_a_line_without_jobs_has_no_oldest_one(app: App, line: Line) -> None:
    await line.declare()
    await app.flows.apause("crm", key="a", new=True)
    (found,) = await app.flows.alist()
    assert (found.waiting, found.oldest_seconds) == (0, None)
    (key,) = await app.flows.akeys("crm")
    assert (key.waiting, key.oldest_seconds) == (0, None)
