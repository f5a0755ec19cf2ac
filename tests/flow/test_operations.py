"""What operators see of flows, and what they change."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pgqueue import App, Client, ConfigError
from tests.flow.conftest import Line
from tests.worker.test_callers_transaction import ASYNC, BLOCKING, begun, begun_blocking


async def only(app: App) -> Any:
    (found,) = await app.flows.alist()
    return found


async def test_a_flow_says_what_it_holds(app: App, line: Line) -> None:
    await line.declare(concurrency=3, rate=0.001, burst=5)
    await line.put(*"aaabbc")
    assert await line.admit() == 3
    assert len(await line.claim(limit=2)) == 2
    found = await only(app)
    assert (found.name, found.state) == ("crm", "active")
    assert (found.admitted, found.running, found.waiting) == (3, 2, 3)
    assert found.keys == 2
    assert 0 <= found.oldest_seconds < 600
    assert 2 <= found.tokens < 2.9
    assert found.settings == found.declared == {"concurrency": 3, "rate": 0.001, "burst": 5}
    assert found.changed is None


async def test_a_flow_that_nobody_declared_is_shown(app: App, line: Line) -> None:
    await line.put("a", "a")
    found = await only(app)
    assert (found.name, found.state, found.waiting, found.tokens) == ("crm", "unknown", 2, None)
    assert await app.flows.aset("crm", concurrency=2)
    assert await line.admit() == 2
    assert (await only(app)).state == "active"


async def test_counts_go_to_a_bound(app: App, line: Line) -> None:
    await line.sql(
        "insert into @.job (task, position, run_at, flow, flow_key, rank)"
        " select 't', null, 'infinity', 'crm', 'k' || n / 8, n from generate_series(1, 12000) n"
    )
    found = await only(app)
    assert (str(found.waiting), str(found.keys)) == ("10000+", "1000+")
    assert found.oldest_seconds < 600
    assert [one.key for one in await app.flows.akeys("crm", limit=2, after="k0")] == ["k1", "k10"]


async def test_an_operators_change_wins_until_reset(app: App, line: Line) -> None:
    await line.declare(concurrency=3, key_concurrency=1)
    flows = app.flows.by("ann", reason="they asked")
    assert await flows.aset("crm", concurrency=5, rate="60/min", burst=2)
    assert not await flows.aset("crm", concurrency=5)
    await line.declare(concurrency=9, key_concurrency=2)
    found = await only(app)
    assert found.settings == {"concurrency": 5, "key_concurrency": 2, "rate": 1.0, "burst": 2}
    assert found.declared == {"concurrency": 9, "key_concurrency": 2}
    assert found.changed == {"concurrency": 5, "rate": 1.0, "burst": 2}
    assert found.changed_by == "ann"
    await flows.aset("crm", concurrency=None)
    assert (await only(app)).settings["concurrency"] is None
    assert await flows.areset("crm")
    assert not await flows.areset("crm")
    found = await only(app)
    assert (found.settings, found.changed) == (found.declared, None)

    rows = await line.sql("select * from @.audit order by id")
    assert [row["action"] for row in rows] == ["flow.set", "flow.set", "flow.reset"]
    assert {(row["actor"], row["via"], row["reason"]) for row in rows} == {
        ("ann", "python", "they asked")
    }
    target = json.loads(rows[0]["target"])
    assert target["flow"] == "crm"
    assert (target["before"]["concurrency"], target["after"]["concurrency"]) == (3, 5)


async def test_a_lowered_limit_acts_at_once(app: App, line: Line) -> None:
    await line.declare(concurrency=10)
    ids = await line.put(*"abcdefghijkl")
    assert await line.admit() == 10
    await line.claim(limit=2)
    await app.flows.aset("crm", concurrency=3)
    assert await line.admitted() == ids[:3], "what runs, and the oldest that waits"
    assert await line.admit() == 0
    await app.flows.aset("crm", concurrency=None)
    assert await line.admit() == 9
    assert await line.admitted() == ids


async def test_a_raised_rate_acts_at_once(app: App, line: Line) -> None:
    """Tokens that were taken stay taken, but nobody waits an hour for the next one."""
    await line.declare(rate=1 / 3600, key_rate=1 / 3600)
    await line.put("a", "a", "a", "b")
    assert await line.admit() == 1
    assert await line.admit() == 0
    await app.flows.aset("crm", rate=None, key_rate="100/s", key_burst=2)
    await line.sql("select pg_sleep(0.03)")
    assert await line.admit() >= 2


async def test_a_lowered_rate_keeps_its_debt_within_the_burst(app: App, line: Line) -> None:
    await line.declare(rate=1000, burst=1000)
    await line.put(*["a"] * 200)
    assert await line.admit(ready_most=150) == 150
    await app.flows.aset("crm", rate="1/h", burst=2)
    assert -0.01 <= (await only(app)).tokens <= 2
    await line.drop(*(await line.admitted()))
    assert await line.admit() <= 2


async def test_a_flow_is_paused_and_resumed(app: App, line: Line) -> None:
    await line.declare(concurrency=2)
    ids = await line.put("a", "b", "c")
    await line.admit()
    await line.claim(limit=1)
    assert await app.flows.apause("crm")
    assert not await app.flows.apause("crm")
    assert await line.admitted() == ids[:1], "what runs goes on"
    assert await line.admit() == 0
    found = await only(app)
    assert (found.state, found.waiting) == ("paused", 2)
    assert await app.flows.aresume("crm")
    assert not await app.flows.aresume("crm")
    assert await line.admit() == 1


async def test_resume_ends_a_break_that_a_server_asked_for(app: App, line: Line) -> None:
    await line.declare()
    await line.put("a", "b")
    await line.sql("update @.flow set held_until = now() + interval '1 hour'")
    assert await line.admit() == 0
    assert (await only(app)).state == "held"
    assert await app.flows.aresume("crm")
    assert await line.admit() == 2
    await line.sql(
        "insert into @.ticket (flow, key, held_until, holds_flow)"
        " values ('crm', 'a', now() + interval '1 hour', false)"
    )
    await line.put("a")
    assert await line.admit() == 0
    (a,) = await app.flows.akeys("crm", stopped=True)
    assert (a.key, a.state) == ("a", "held")
    assert await app.flows.aresume("crm", key="a")
    assert await line.admit() == 1


async def test_keys_are_listed_by_name(app: App, line: Line) -> None:
    await line.declare(key_concurrency=1, key_rate=0.001, key_burst=3)
    await line.put(*"bbbacc")
    assert await line.admit() == 3
    await line.claim(limit=1)
    await line.sql(
        "insert into @.flow_usage values ('crm', 'b', (now() at time zone 'UTC')::date, 2, 812)"
    )
    a, b, c = await app.flows.akeys("crm")
    assert [(k.key, k.admitted, k.waiting) for k in (a, b, c)] == [
        ("a", 1, 0), ("b", 1, 2), ("c", 1, 1),
    ]  # fmt: skip
    assert sum(key.running for key in (a, b, c)) == 1
    assert b.used_today == 812
    assert b.tokens is not None
    assert 2 <= b.tokens < 2.1
    assert b.place is None, "it stands at its limit"
    assert [key.key for key in await app.flows.akeys("crm", limit=1, after="a")] == ["b"]
    assert await app.flows.akeys("crm", stopped=True) == []


async def test_a_key_has_a_place_while_its_turn_comes(app: App, line: Line) -> None:
    await line.declare()
    await line.put(*"aabbcc")
    assert await line.admit(ready_most=1) == 1
    places = {key.place for key in await app.flows.akeys("crm")}
    assert places == {1, 2, 3}


async def test_a_key_has_limits_and_weights_of_its_own(app: App, line: Line) -> None:
    await line.declare(key_concurrency=1)
    await line.put(*"aaab")
    assert await line.admit() == 2
    assert await app.flows.aset("crm", key="a", concurrency=3, weight=2)
    assert await line.admit() == 2
    await app.flows.aset("crm", concurrency=50)
    assert len(await line.admitted()) == 4, "nothing of it is withdrawn"
    (a, _) = await app.flows.akeys("crm")
    assert (a.concurrency, a.weight, a.state) == (3, 2.0, "active")
    assert await app.flows.areset("crm", key="a")
    assert not await app.flows.areset("crm", key="a")
    (a, _) = await app.flows.akeys("crm")
    assert (a.concurrency, a.weight) == (None, None)
    assert a.admitted == 1
    rows = await line.sql("select action, target from @.audit order by id")
    assert json.loads(rows[0]["target"])["key"] == "a"
    assert json.loads(rows[0]["target"])["after"]["weight"] == 2


async def test_a_key_is_paused_and_resumed(app: App, line: Line) -> None:
    await line.declare(key_concurrency=2)
    await line.put(*"aaab")
    await line.admit()
    assert await app.flows.by("ann", reason="abuse").apause("crm", key="a")
    assert not await app.flows.apause("crm", key="a")
    (a,) = await app.flows.akeys("crm", stopped=True)
    assert (a.key, a.state, a.reason, a.admitted, a.waiting) == ("a", "paused", "abuse", 0, 3)
    assert (await only(app)).paused_keys == 1
    assert await line.admit() == 0
    assert await app.flows.aset("crm", key="a", weight=4), "which leaves the pause"
    assert await line.admit() == 0
    assert await app.flows.aresume("crm", key="a")
    assert not await app.flows.aresume("crm", key="a")
    assert await line.admit() == 2
    assert await app.flows.akeys("crm", stopped=True) == []


async def test_a_halted_key_says_why_and_is_resumed(app: App, line: Line) -> None:
    await line.declare(ordered=True)
    await line.put("a", "a")
    await line.sql(
        "insert into @.flow_key (flow, key, paused_at, pause_reason)"
        " values ('crm', 'a', now(), 'job 7 is dead')"
    )
    assert await line.admit() == 0
    (a,) = await app.flows.akeys("crm", stopped=True)
    assert a.reason == "job 7 is dead"
    assert await app.flows.aresume("crm", key="a")
    (row,) = await line.sql("select paused_at, pause_reason from @.flow_key")
    assert (row["paused_at"], row["pause_reason"]) == (None, None)
    assert await line.admit() == 1


async def test_usage_by_key_and_day(app: App, line: Line) -> None:
    await line.declare()
    await line.sql(
        "insert into @.flow_usage"
        " select 'crm', key, (now() at time zone 'UTC')::date - back, 2, used"
        " from (values ('a', 0, 5), ('b', 0, 7.5), ('a', 1, 3), ('a', 9, 1)) as v (key, back, used)"
    )
    found = await app.flows.ausage("crm")
    assert [(one.key, one.jobs, one.used) for one in found] == [
        ("b", 2, 7.5), ("a", 2, 5.0), ("a", 2, 3.0),
    ]  # fmt: skip
    assert found[0].day > found[2].day
    assert len(await app.flows.ausage("crm", key="a", days=10)) == 3
    assert await app.flows.ausage("crm", key="a", days=1) != []
    await line.sql("insert into @.ticket (flow, key, used, weight) values ('crm', 'a', 2, 1)")
    one, *_ = await app.flows.ausage("crm", key="a")
    assert (one.jobs, one.used) == (3, 7.0), "also what no admission has added up yet"


async def test_a_name_that_is_not_there_gets_the_nearest(app: App, line: Line) -> None:
    await line.declare()
    await line.put("acme")
    flows = app.flows
    for call in (
        flows.apause("crn"), flows.aresume("crn"), flows.aset("crn", concurrency=1),
        flows.areset("crn"), flows.akeys("crn"), flows.ausage("crn"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r'no flow is named "crn".*"crm"'):
            await call
    missing = r'no key "acne" now; did you mean "acme"\?'
    for call in (flows.apause("crm", key="acne"), flows.aset("crm", key="acne", weight=2)):
        with pytest.raises(ConfigError, match=missing + "; for one .*new=True, or --new"):
            await call
    for call in (flows.aresume("crm", key="acne"), flows.areset("crm", key="acne")):
        with pytest.raises(ConfigError, match=missing + "$"):
            await call
    assert await flows.aset("crm", key="soon", weight=2, new=True)
    assert await flows.apause("crm", key="later", new=True)
    assert await line.value("select count(*) from @.audit") == 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "nothing is given"),
        ({"concurrency": 0}, "from 1 to"),
        ({"rate": 100}, "100/s"),
        ({"burst": 5}, "has no rate"),
        ({"key_burst": 5}, "has no key_rate"),
        ({"weight": 5}, "weight is of a key"),
        ({"ordered": True}, "in code alone"),
        ({"concurency": 5}, 'did you mean "concurrency"'),
        ({"key_concurrency": 5}, "ordered"),
        ({"key": "a", "rate": "1/s"}, 'no "rate" of its own'),
        ({"key": "a", "concurrency": 3}, "ordered"),
        ({"key": "a", "weight": 0}, "weight of a key must be"),
        ({"key": "a", "weight": "3"}, "weight of a key must be a number"),
    ],
)
async def test_what_makes_no_limit_is_refused(
    app: App, line: Line, given: dict[str, Any], reason: str
) -> None:
    await line.declare(ordered=True)
    await line.put("a")
    with pytest.raises(ConfigError, match=reason):
        await app.flows.aset("crm", **given)
    assert await line.value("select count(*) from @.audit") == 0


async def test_the_verbs_have_blocking_forms(dsn: str, line: Line) -> None:
    await line.put("a")

    def work() -> None:
        with Client(dsn) as client:
            assert [one.name for one in client.flows.list()] == ["crm"]
            assert client.flows.set("crm", concurrency=2)
            assert client.flows.pause("crm")
            assert client.flows.resume("crm")
            assert [one.key for one in client.flows.keys("crm")] == ["a"]
            assert client.flows.usage("crm") == []
            assert client.flows.reset("crm")

    await asyncio.to_thread(work)


@pytest.mark.parametrize("kind", ASYNC)
async def test_verbs_belong_to_the_callers_transaction(
    app: App, line: Line, dsn: str, kind: str
) -> None:
    await line.put("a", "a")
    async with ASYNC[kind](dsn) as connection:
        async with begun(connection):
            on: dict[str, Any] = {"connection": connection}
            assert await app.flows.aset("crm", concurrency=2, rate="5/s", **on)
            assert await app.flows.aset("crm", key="a", weight=2.5, **on)
            assert await app.flows.apause("crm", key="a", **on)
            assert [one.weight for one in await app.flows.akeys("crm", **on)] == [2.5]
            assert await app.flows.ausage("crm", **on) == []
            assert [one.state for one in await app.flows.alist(**on)] == ["active"]
            assert await line.value("select count(*) from @.flow") == 0
        if getattr(connection, "commit", None):
            await connection.commit()
    assert await line.value("select count(*) from @.audit") == 3


@pytest.mark.parametrize("kind", BLOCKING)
async def test_verbs_work_on_connections_that_block(
    app: App, line: Line, dsn: str, kind: str
) -> None:
    await line.put("a")

    def work() -> None:
        with BLOCKING[kind](dsn) as connection, begun_blocking(connection):
            on: dict[str, Any] = {"connection": connection}
            assert app.flows.pause("crm", **on)
            assert [one.state for one in app.flows.list(**on)] == ["paused"]
            assert app.flows.usage("crm", **on) == []

    await asyncio.to_thread(work)


async def test_changes_are_told_to_workers(app: App, line: Line) -> None:
    await line.put("a")
    told: list[str] = []

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        told.append(str(payload))

    channel = await line.value("select @.channel()")
    await line.connection.add_listener(channel, hear)
    await app.flows.aset("crm", concurrency=2)
    await line.sql("select 1")
    assert told == ["f:crm"]
    assert await line.value("select count(*) from @.ticket") == 2


async def test_jobs_of_a_paused_queue_hold_no_slot(app: App, line: Line) -> None:
    await line.declare(concurrency=2)
    slow = await line.put("a", "b", queue="slow")
    fast = await line.put("c", "d")
    assert await line.admit() == 2
    assert await line.admitted() == slow
    assert await app.apause("slow")
    assert await line.admitted() == []
    assert await line.admit() == 2
    assert await line.admitted() == fast
    assert await app.aresume("slow")
    assert await line.admit() == 0
    await line.drop(*fast)
    assert await line.admit() == 2
    assert await line.admitted() == slow


async def test_what_code_declares_anew_acts_at_once(app: App, line: Line) -> None:
    """A deploy with a faster rate: nobody waits for a token of the slow one."""

    async def declare(settings: str) -> None:
        (row,) = await line.run("declare_flows", ["crm"], [settings], "host:1")
        assert row["names"] == ["crm"]

    await declare('{"rate": 0.0001}')
    await line.put("a", "a")
    assert await line.admit() == 1
    assert await line.admit() == 0
    await declare('{"rate": 1000.0}')
    await line.sql("select pg_sleep(0.01)")
    assert await line.admit() == 1


async def test_a_flow_that_is_declared_as_ordered_later_keeps_the_order(
    app: App, line: Line
) -> None:
    """Jobs of the first deploy, enqueued before a worker has said what the flow is."""
    early = await line.put("a", "a", priority=9)
    early += await line.put("a", priority=0)
    await line.declare(ordered=True)
    late = await line.put("a", priority=0)
    order: list[int] = []
    for _ in range(4):
        assert await line.admit() == 1
        order += await line.admitted()
        await line.drop(*order)
    assert order == [*early, *late]


async def test_a_flow_that_becomes_ordered_and_ceases_to_be_keeps_the_order(
    app: App, line: Line
) -> None:
    async def declare(settings: str) -> None:
        await line.run("declare_flows", ["crm"], [settings], "host:1")

    await declare("{}")
    jobs = await line.put("a")
    await declare('{"ordered": true}')
    jobs += await line.put("a")
    jobs += await line.put("a", priority=0)
    await line.sql("update @.job set enqueued_at = now() - interval '1 h'")
    (info,) = await app.flows.alist()
    assert info.oldest_seconds is not None
    assert 3500 < info.oldest_seconds < 3700
    order: list[int] = []
    for _ in jobs:
        assert await line.admit() == 1
        order += await line.admitted()
        await line.drop(*order)
    assert order == jobs
    await declare("{}")
    (before,) = await line.put("a")
    await line.sql("update @.flow set declared = '{\"ordered\": true}'")
    (after,) = await line.put("a")
    rows = await line.sql("select id from @.job order by rank")
    assert [row["id"] for row in rows] == [before, after]


async def test_usage_is_kept_for_400_days(app: App, line: Line) -> None:
    await line.sql(
        "insert into @.flow_usage"
        " select 'crm', 'k' || n, (now() at time zone 'UTC')::date - n, 1, 1"
        " from generate_series(391, 410) n"
    )
    assert [(await line.run("drop_usage", 6))[0]["dropped"] for _ in range(3)] == [6, 4, 0]
    oldest = await line.value(
        "select max((now() at time zone 'UTC')::date - day) from @.flow_usage"
    )
    assert oldest == 400
