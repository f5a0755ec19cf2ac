"""Another schema beside ours, notifications of others, partitions dropped."""

from __future__ import annotations

from typing import Any

import pytest
from chaos.faults.schema import migrated
from tests.chaos.small import SmallArena


@pytest.mark.fault("F40")
async def test_migrators(arena: SmallArena) -> None:
    async def another() -> Any:
        return await arena.value("select to_regclass('pgqueue_chaos.migration')")

    await arena.strike("migrators", another)
    assert not await another()


@pytest.mark.fault("F40")
async def test_a_migrator_may_be_ended_while_it_connects() -> None:
    assert not await migrated("postgresql:///any?host=/no/such/socket", "pgqueue")


@pytest.mark.fault("F41")
async def test_flood(arena: SmallArena) -> None:
    heard: list[str] = []
    async with arena.visitor() as visitor:
        channel = await arena.value("select pgqueue.channel()")
        await visitor.add_listener(channel, lambda *args: heard.append(args[3]))

        async def flooded() -> Any:
            return len(heard) > 100 and any(len(text) > 7000 for text in heard)

        await arena.strike("notification-flood", flooded)


@pytest.mark.fault("F41")
async def test_stuck_listener(arena: SmallArena) -> None:
    usage = "select pg_notification_queue_usage()"
    await arena.strike("stuck-listener", lambda: arena.value(usage))


@pytest.mark.fault("F46")
async def test_pruning(arena: SmallArena) -> None:
    query = (
        "select min(right(relname, 8)) from pg_inherits join pg_class on pg_class.oid = inhrelid"
        " where inhparent = 'pgqueue.history'::regclass"
    )
    oldest = await arena.value(query)

    async def older() -> Any:
        found = await arena.answers(query)
        return found is not None and found < oldest

    await arena.strike("pruning", older, tries=5)
    assert arena.last("pruned")["dropped"] > 0
    assert await arena.value(query) == oldest
