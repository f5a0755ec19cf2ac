"""Answers that are lost: of a commit, an enqueue, a claim, a completion. F14, F15, F16."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.faults.cutting import Cut, Link
from chaos.faults.fault import BaseFault, Missed, direct, healed, proxy_of, wait_for

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["LoseAnswer", "UnsureStandby", "is_enqueue"]

# Not just "enqueue": a claim reads job.enqueued_at.
_ENQUEUE = re.compile(rb"\.(enqueue_\w+|new_job)\b")
# By itself, or in one message with the completion of a job.
_COMMIT = re.compile(rb"(?:^|;)\s*commit\b", re.IGNORECASE)


def is_enqueue(text: bytes) -> bool:
    """True for an enqueue that a client is told of. A worker that fires schedules enqueues too."""
    return _ENQUEUE.search(text) is not None and b".schedule" not in text


_WHAT: dict[str, tuple[str, Callable[[Link, bytes], bool]]] = {
    "enqueue": ("F14", lambda _, text: is_enqueue(text)),
    "commit": ("F14", lambda _, text: _COMMIT.search(text) is not None),
    "completion": ("F15", lambda link, _: link.role == "finish"),
    "claim": ("F15", lambda link, text: link.role == "claim" and b"claim_token" in text),
    "heartbeat": ("F15", lambda link, _: link.role == "heartbeat"),
}


class LoseAnswer(BaseFault):
    """Connections are reset at statements of one kind, before or after the server had them."""

    def __init__(self, what: str, *, carried_out: bool) -> None:
        self.name = f"cut-{'after' if carried_out else 'before'}-{what}"
        self.label, self._statement = _WHAT[what]
        self.disruptive = 4.0
        self._carried_out = carried_out

    async def strike(self, arena: Arena) -> None:
        proxy = proxy_of(arena)
        cut = Cut(self._statement, self._carried_out, left=arena.rng.randint(1, 5))
        proxy.arm(cut)
        try:
            await wait_for(lambda: not cut.left, seconds=4.0)
        finally:
            proxy.disarm(cut)
        arena.log("cut", what=self.name, times=cut.fired)
        if not cut.fired:
            raise Missed("there was no such statement")


class UnsureStandby(BaseFault):
    """Commits wait for a standby that does not exist; then some waits are cancelled or ended.

    What was cut short is committed all the same: whoever takes it for failed is wrong.
    """

    name = "ghost-standby"
    label = "F16"
    disruptive = 8.0

    async def strike(self, arena: Arena) -> None:
        seen = 0
        try:
            # Our own session must not wait for the ghost.
            async with direct(arena, synchronous_commit="local") as own:
                await own.execute("alter system set synchronous_standby_names = 'ghost'")
                await own.execute("select pg_reload_conf()")
                until = asyncio.get_running_loop().time() + arena.rng.uniform(1.0, 2.5)
                while asyncio.get_running_loop().time() < until:
                    how = arena.rng.choice(["pg_cancel_backend", "pg_terminate_backend"])
                    seen += await own.fetchval(
                        f"select count({how}(pid)) from pg_stat_activity"
                        " where wait_event = 'SyncRep' and random() < 0.3"
                    )
                    await asyncio.sleep(0.1)
        finally:
            await healed(
                arena, "alter system reset synchronous_standby_names", "select pg_reload_conf()"
            )
        arena.log("commits cut short", times=seen)
        if not seen:
            raise Missed("no commit waited for the standby")
