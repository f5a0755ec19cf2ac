"""Cuts before and after a commit, and a commit that does not return."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from chaos.faults.commits import is_enqueue
from chaos.faults.cutting import Cut
from chaos.faults.fault import proxy_of
from tests.chaos.small import SmallArena
from tests.harness.waiting import eventually

from chaos.faults import ALL
from pgqueue.db.statements import statement


@pytest.mark.fault("F14")
@pytest.mark.parametrize("simple", [True, False])
@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_cut_is_before_or_after(arena: SmallArena, simple: bool, carried_out: bool) -> None:
    """The client is told the same; the row is there, or it is not."""
    await arena.sql("create table if not exists chaos.cut (n int)")
    await arena.sql("truncate chaos.cut")
    cut = Cut(lambda _, text: b"chaos.cut" in text, carried_out)
    async with arena.visitor() as visitor:
        proxy_of(arena).arm(cut)
        with pytest.raises((OSError, asyncpg.InterfaceError, asyncpg.PostgresError)):
            await (visitor.execute if simple else visitor.fetch)("insert into chaos.cut values (1)")
    assert (cut.fired, cut.left) == (1, 0)
    wanted = 1 if carried_out else 0
    await eventually(lambda: arena.value("select count(*) = $1 from chaos.cut", wanted))


@pytest.mark.fault("F14")
def test_a_cut_of_enqueues_meets_each_of_them_and_nothing_else() -> None:
    """Whoever reads enqueued_at is no enqueue: with a claim among them, no enqueue may be met."""
    names = [path.stem for path in Path(str(files("pgqueue"))).glob("db/sql/*.sql")]
    met = {name for name in names if is_enqueue(statement(name, "pgqueue").encode())}
    assert met == {
        "enqueue_one", "enqueue_alike", "enqueue_jobs", "enqueue_unique", "insert_one",
    }  # fmt: skip


@pytest.mark.fault("F14", "F15")
@pytest.mark.parametrize(
    "name", sorted(name for name in ALL if name.startswith(("cut-after", "cut-before")))
)
async def test_cuts(arena: SmallArena, name: str) -> None:
    fault = ALL[name]()

    async def cut() -> Any:
        return arena.events

    await arena.watch(fault, cut)
    assert arena.last("cut")["times"] > 0


@pytest.mark.fault("F16")
async def test_ghost_standby(arena: SmallArena) -> None:
    async def waits() -> Any:
        return await arena.value("select count(*) from pg_stat_activity where wait_event='SyncRep'")

    await arena.strike("ghost-standby", waits)
    assert await arena.value("show synchronous_standby_names") == ""
