"""Jobs of flows in a test without a worker: no limit holds them up, and a key keeps its order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pgqueue import App, ConfigError, Flow, JobState, Retry, current_job
from pgqueue.testing import Kit, atransaction, running_job, transaction

pytestmark = pytest.mark.one_pg


@pytest.fixture
def app(dsn: str) -> Iterator[App]:
    with App(dsn) as app:
        yield app


@pytest.fixture
def kit(app: App) -> Iterator[Kit]:
    with transaction(app) as kit:
        yield kit


def test_limits_and_rates_hold_up_no_drain(app: App, kit: Kit) -> None:
    ran: list[str] = []

    @app.task(flow=Flow("crm", concurrency=1, rate="1/day", key="customer", key_concurrency=1))
    def sync(customer: str) -> None:
        ran.append(customer)
        current_job().charge(tokens=500)

    for customer in ("b", "a", "b"):
        sync.using(weight=5).enqueue(customer)
    kit.assert_enqueued(sync, flow="crm", flow_key="b", weight=5, delay=0, count=2)
    (job,) = kit.enqueued(sync, flow_key="a")
    assert (job.state, job.flow, job.flow_key, job.weight) == (JobState.BLOCKED, "crm", "a", 5)
    with pytest.raises(AssertionError, match=r"- flow_key: 'c'\n    \+ flow_key: 'b'"):
        kit.assert_enqueued(sync, flow_key="c")
    assert kit.drain() == {"completed": 3}
    assert ran == ["b", "a", "b"]
    kit.refute_enqueued(sync)


def test_an_ordered_key_waits_for_its_retry(app: App, kit: Kit) -> None:
    ran: list[tuple[str, int]] = []

    @app.task(flow=Flow("ledger", key="account", ordered=True))
    def book(account: str, n: int) -> None:
        ran.append((account, n))
        if (account, n) == ("a", 1) and current_job().attempt == 1:
            raise Retry(delay=0)
        if (account, n) == ("b", 1):
            raise Retry(delay=3600)

    for priority, n in ((9, 1), (0, 2)):
        for account in "ab":
            book.using(priority=priority).enqueue(account, n)
    assert kit.drain() == {"completed": 2, "retried": 2}
    assert [one for one in ran if one[0] == "a"] == [("a", 1), ("a", 1), ("a", 2)]
    assert [one for one in ran if one[0] == "b"] == [("b", 1)]
    kit.assert_enqueued(book, flow_key="b", count=2)


@pytest.mark.parametrize(("on_dead", "ran"), [("halt", [1]), ("skip", [1, 2])])
def test_an_ordered_key_halts_at_a_dead_job(app: App, kit: Kit, on_dead: str, ran: object) -> None:
    seen: list[int] = []

    @app.task(max_attempts=1, flow=Flow("ledger", ordered=True, on_dead=on_dead))  # type: ignore[arg-type]  # pyright: ignore
    def book(n: int) -> None:
        seen.append(n)
        if n == 1:
            raise ValueError("no")

    for n in (1, 2):
        book.enqueue(n)
    kit.drain(raise_errors=False)
    kit.drain()
    assert seen == ran


async def test_jobs_of_flows_on_an_asynchronous_connection(app: App) -> None:
    @app.task(flow=Flow("crm", key="customer", key_concurrency=1))
    async def sync(customer: str) -> None:
        job = current_job()
        async with job.transaction() as tx:
            job.charge(2)
            await tx.execute("select 1")

    async with atransaction(app) as kit:
        await sync.aenqueue("acme")
        assert await kit.adrain() == {"completed": 1}


def test_what_a_task_charges_is_seen_without_a_database(app: App) -> None:
    @app.task
    def ask() -> None:
        current_job().charge(tokens=800)
        current_job().charge(tokens=12.5)

    with running_job(ask) as job:
        assert job.used is None
        ask()
        assert job.used == 812.5


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("9", "tokens must be a number, got '9'"),
        (True, "tokens must be a number, got True"),
        (-1, "tokens must be from 0 to 1000000000, got -1"),
        (float("nan"), "tokens must be from 0 to 1000000000, got nan"),
    ],
)
def test_what_is_no_number_of_tokens_is_refused(tokens: Any, said: str) -> None:
    with running_job() as job, pytest.raises(ConfigError, match=said):
        job.charge(tokens)
