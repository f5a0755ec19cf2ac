"""Notifications: only when a worker waits for one, and only within one schema."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from tests.db.conftest import Connect
from tests.db.hands import Hands
from tests.harness.waiting import eventually

from pgqueue.db.migrate import migrate


class Ear:
    """Hears a channel; ``heard`` asks what came up to now, without a wait."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.payloads: list[str] = []

    async def listen(self) -> None:
        (row,) = await self.hands.run("read_channel")
        self.channel: str = row[0]
        await self.hands.connection.add_listener(self.channel, self._hear)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: Any) -> None:
        self.payloads.append(payload)

    async def heard(self) -> list[str]:
        """A notification of our own comes after all that were committed before it."""
        await self.hands.sql("select pg_notify($1, 'end')", self.channel)
        await eventually(lambda: "end" in self.payloads)
        heard, self.payloads = self.payloads, []
        heard.remove("end")
        return heard


@pytest.fixture
async def ear(more_hands: Connect) -> Ear:
    ear = Ear(await more_hands())
    await ear.listen()
    return ear


async def test_nobody_is_told_while_nobody_waits(hands: Hands, ear: Ear) -> None:
    await hands.enqueue({"task": "t"}, {"task": "t", "unique_key": "k"}, {"task": "t", "delay": 1})
    assert await ear.heard() == []


async def test_who_waits_is_told_of_the_queues_that_got_work(hands: Hands, ear: Ear) -> None:
    await hands.serve("a", "b", "c")
    await hands.run("raise_flags", ["a", "b"])
    await hands.enqueue(*[{"task": "t", "queue": queue} for queue in "aacc"])
    assert await ear.heard() == ["q:a"]
    await hands.enqueue({"task": "t", "queue": "b", "unique_key": "k"}, {"task": "t", "queue": "a"})
    assert sorted(await ear.heard()) == ["q:a", "q:b"]
    await hands.enqueue({"task": "t", "queue": "nobody's"})
    assert await ear.heard() == []
    await hands.run("lower_flags", ["a", "b", "c"], None)
    assert sorted(await ear.heard()) == ["d:a", "d:b"]
    await hands.enqueue({"task": "t", "queue": "a"})
    assert await ear.heard() == []


async def test_who_waits_is_told_of_what_is_due_soon(hands: Hands, ear: Ear) -> None:
    await hands.run("raise_flags", ["default"])
    await hands.enqueue(
        {"task": "t", "queue": "x", "delay": 30}, {"task": "t", "queue": "x", "delay": 2.5}
    )
    assert await ear.heard() == ["s:2.5"]
    await hands.enqueue({"task": "t", "queue": "x", "delay": 3600})
    assert await ear.heard() == []
    when = await hands.value("select now() + '10 s'::interval")
    await hands.enqueue({"task": "t", "queue": "x", "run_at": when.isoformat()})
    (payload,) = await ear.heard()
    assert 5 < float(payload.removeprefix("s:")) < 10.1


async def test_what_is_rolled_back_wakes_nobody(hands: Hands, producer: Hands, ear: Ear) -> None:
    await hands.run("raise_flags", ["default"])
    transaction = producer.connection.transaction()
    await transaction.start()
    await producer.enqueue({"task": "t"})
    await transaction.rollback()
    assert await ear.heard() == []


async def test_other_bells(hands: Hands, ear: Ear) -> None:
    await hands.serve("a", "b")
    await hands.run("raise_flags", ["a"])
    await hands.run("wake_queues", ["a", "b", "c"])
    await hands.run("rewind_queues", ["a:b", "c"], [7, 2**62])
    await hands.run("announce_cancel")
    assert await ear.heard() == ["q:a", "r:7:a:b", f"r:{2**62}:c", "c"]


@pytest.mark.past_bug(45)
async def test_the_longest_queue_names_fit_a_payload(hands: Hands, ear: Ear) -> None:
    names = [f"{n:03}" + "ä" * 48 for n in range(200)]
    await hands.serve(*names)
    await hands.run("raise_flags", names)
    await hands.enqueue(*[{"task": "t", "queue": name} for name in names])
    assert sorted(await ear.heard()) == [f"q:{name}" for name in names]


@pytest.mark.past_bug(44)
async def test_two_schemas_share_no_channel(
    dsn: str, hands: Hands, ear: Ear, more_hands: Connect
) -> None:
    long = "pgqueue_with_a_name_as_long_as_postgresql_will_keep_it_whole__"
    for schema in (f"{long}a", f"{long}b"):
        await migrate(dsn, schema)
    others = [await more_hands(f"{long}{letter}") for letter in "ab"]
    ears = [Ear(await more_hands(f"{long}{letter}")) for letter in "ab"]
    for each in ears:
        await each.listen()
    assert len({ear.channel, *(each.channel for each in ears)}) == 3
    for each in (hands, *others):
        await each.serve("default")
        await each.run("raise_flags", ["default"])
    await others[0].enqueue({"task": "t"})
    await others[0].run("announce_cancel")
    assert await ears[0].heard() == ["q:default", "c"]
    assert await ears[1].heard() == []
    assert await ear.heard() == []
    assert await hands.claim() == await others[1].claim() == []
    assert len(await others[0].claim()) == 1


async def test_a_prepared_transaction_enqueues_without_a_notification(
    hands: Hands, producer: Hands, ear: Ear
) -> None:
    """While a worker waits, PostgreSQL refuses to prepare what has notified."""
    await hands.serve("default")
    await hands.run("raise_flags", ["default"])
    await producer.sql("begin")
    await producer.enqueue({"task": "t"})
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="NOTIFY"):
        await producer.sql("prepare transaction 'first'")
    for told in (False, True):  # the setting ends with its transaction
        await producer.sql("begin")
        if not told:
            await producer.sql("set local pgqueue.notify = off")
        await producer.enqueue({"task": "t"}, {"task": "t", "delay": 1}, {"task": "t"})
        if told:
            await producer.sql("commit")
        else:
            await producer.sql("prepare transaction 'second'")
            assert await hands.value("select count(*) from @.job") == 0
            await producer.sql("commit prepared 'second'")
            assert await hands.value("select count(*) from @.job") == 3
        assert bool(await ear.heard()) is told


async def test_what_citus_may_commit_in_two_phases_notifies_nobody(
    hands: Hands, producer: Hands, ear: Ear
) -> None:
    """Its sessions tell by their name, whatever way in a job takes; a setting says otherwise."""
    await hands.serve("default")
    await hands.run("raise_flags", ["default"])
    await producer.sql("set application_name = 'citus_internal gpid=10000000042'")
    await producer.sql("begin")
    await producer.enqueue(
        {"task": "t"}, {"task": "t", "unique_key": "k"}, {"task": "t", "delay": 1}
    )
    await producer.sql("select @.enqueue_one('t', '{}', 'default', 5, 25, true)")
    await producer.sql("insert into @.new_job (task) values ('t')")
    await producer.sql("select @.call('c')")
    await producer.sql("prepare transaction 'of two nodes'")
    await producer.sql("commit prepared 'of two nodes'")
    assert await ear.heard() == []
    assert len(await hands.claim()) == 4, "a poll finds them"

    await hands.run("raise_flags", ["default"])
    await producer.sql("set pgqueue.notify = on")
    await producer.enqueue({"task": "t"})
    assert await ear.heard() == ["q:default"]
