"""What code and operators say of the limits of queues."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import App, ConfigError, QueueLimitInfo
from pgqueue.admin.limits import declare_queues
from pgqueue.admin.schedules import Actor
from pgqueue.flow.queue_limits import Limits
from tests.worker.support import Eyes

DEPLOY = Actor("host:1", "code")


async def deploy(app: App) -> list[str]:
    """What a worker of this app does first."""
    queues = dict(app.declared_queues)
    return await app.pool.arun(lambda c: declare_queues(c, app.schema, queues, DEPLOY))


async def only(app: App) -> QueueLimitInfo:
    (found,) = await app.queue_limits.alist()
    return found


async def test_an_operator_wins_over_code_until_reset(app: App, dsn: str, eyes: Eyes) -> None:
    app.queue("mail", concurrency=50, rate="1000/min", burst=5)
    assert await deploy(app) == ["mail"]
    assert await deploy(app) == [], "the same again changes nothing"
    found = await only(app)
    assert (found.concurrency, found.rate, found.burst) == (50, pytest.approx(1000 / 60), 5)

    limits = app.queue_limits.by("ann", reason="their server is down")
    await limits.aset("mail", concurrency=5)
    again = App(dsn)
    again.queue("mail", concurrency=60, rate="1000/min", burst=5)
    assert await deploy(again) == ["mail"]
    await again.aclose()
    found = await only(app)
    assert (found.concurrency, found.burst, found.changed_by) == (5, 5, "ann")
    assert found.declared is not None
    assert found.declared["concurrency"] == 60
    assert found.changed == {"concurrency": 5}

    await limits.aoff("mail")
    found = await only(app)
    assert (found.concurrency, found.rate, found.burst) == (None, None, None)
    assert await limits.areset("mail")
    assert not await limits.areset("mail")
    assert (await only(app)).concurrency == 60

    rows = await eyes.sql("select * from pgqueue.audit order by id")
    assert [(row["actor"], row["action"]) for row in rows] == [
        ("host:1", "queue.declare"), ("ann", "queue.limit"), ("host:1", "queue.declare"),
        ("ann", "queue.limit"), ("ann", "queue.reset"),
    ]  # fmt: skip
    assert {row["reason"] for row in rows} == {None, "their server is down"}


async def test_none_lifts_one_limit_and_the_others_stay(app: App) -> None:
    await app.queue_limits.aset("mail", concurrency=5, rate="10/s")
    await app.queue_limits.aset("mail", rate=None)
    found = await only(app)
    assert (found.concurrency, found.rate, found.burst) == (5, None, None)


async def test_a_queue_that_code_declares_without_limits_loses_them(app: App, dsn: str) -> None:
    app.queue("mail", concurrency=5)
    await deploy(app)
    again = App(dsn)
    again.queue("mail")
    assert await deploy(again) == ["mail"]
    await again.aclose()
    assert (await only(app)).concurrency is None


async def test_a_change_that_fits_nothing_is_undone(app: App) -> None:
    with pytest.raises(ConfigError, match="burst needs a rate"):
        await app.queue_limits.aset("mail", burst=5)
    assert await app.queue_limits.alist() == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"concurrency": 0}, "concurrency must be from 1 to 1000000, got 0"),
        ({"rate": "fast"}, 'rate must be text such as "100/s"'),
        ({"rate": "5/s", "burst": 0}, "burst must be from 1 to 1000000, got 0"),
        ({"burst": 5}, "burst needs a rate"),
        ({"concurency": 5}, 'a queue takes no "concurency"; did you mean "concurrency"'),
    ],
)
def test_what_makes_no_limit_is_refused_where_it_is_written(
    app: App, limits: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        app.queue("mail", **limits)


def test_two_declarations_of_a_queue_agree(app: App) -> None:
    app.queue("mail", concurrency=5)
    app.queue("mail", concurrency=5)
    with pytest.raises(ConfigError, match='queue "mail" is declared twice'):
        app.queue("mail", concurrency=6)


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (16.7, 1), (100.0, 10), (5000.0, 500)])
def test_a_burst_is_what_a_tenth_of_a_second_gives(rate: float, burst: int) -> None:
    assert Limits.of({"rate": rate}).burst == burst


async def test_a_job_says_that_its_queue_is_at_its_limit(app: App, eyes: Eyes) -> None:
    @app.task(queue="mail")
    async def send() -> None: ...

    await app.queue_limits.aset("mail", concurrency=2, rate="1/min")
    await eyes.sql(
        "insert into pgqueue.worker (id, heartbeat_at, started_at, server_start, lease_seconds,"
        " pid, host, version, queues, concurrency, kind) values (7, now(), now(),"
        " pg_postmaster_start_time(), 15.0, 1, 'h', '0', '{mail}', 10, 0)"
    )
    await eyes.sql(
        "insert into pgqueue.permit values ('mail', 7, 2, 3, now()), ('mail', 8, 9, 9, now())"
    )
    await eyes.sql("insert into pgqueue.queue_tokens values ('mail', now() + interval '4000 s')")
    job = await send.aenqueue()
    reasons = await app.awhy_waiting(job.id)
    assert reasons[0] == 'queue "mail" is at its limit: workers hold 2 of 2 permits'
    assert reasons[1].startswith('the rate of queue "mail" lets the next job begin in ')
    assert (await only(app)).held == 2


async def test_queues_show_their_limits(app: App, eyes: Eyes) -> None:
    await app.queue_limits.aset("mail", concurrency=2, rate="10/s")
    await app.aenqueue_many([app.job("send", queue=queue) for queue in ("mail", "other")])
    limited, other = await app.aqueues()
    assert (limited.name, limited.concurrency, limited.rate, limited.held) == ("mail", 2, 10.0, 0)
    assert (other.concurrency, other.rate, other.held) == (None, None, 0)
