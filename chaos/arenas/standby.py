"""Arenas with a standby that takes over: standby-sync, standby-async, multi-host. F17, F18, F19."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chaos.arenas.ground import BASE, Ground, newest
from chaos.arenas.pair import Pair, pair
from chaos.faults.cutting import CuttingProxy
from chaos.faults.fault import BaseFault, Missed, healed, proxy_of, settled_within
from tests.harness.servers import Server

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["Demotion", "Failover", "multi_host", "standby"]

_SECONDS = 120.0
# The pair has a standby to wait for; and its clocks and disks are ordinary.
_WITHOUT = frozenset({"ghost-standby"})


class Failover(BaseFault):
    """The primary ends at once and the standby takes over; then a new standby is made.

    ``lossy``: the standby has not heard the last that the primary acknowledged.
    """

    def __init__(self, both: Pair, *, lossy: bool, moves: bool = True) -> None:
        self.name = "failover-lossy" if lossy else "failover"
        self.label = "F17" if lossy else "F18"
        self.disruptive = 12.0
        self._pair = both
        self._lossy = lossy
        self._moves = moves  # whether the proxy has to follow

    async def strike(self, arena: Arena) -> None:
        await settled_within(self._fail_over(arena), _SECONDS)

    async def _fail_over(self, arena: Arena) -> None:
        both = self._pair
        lost = 0
        receiver = await asyncio.to_thread(both.receiver)
        if not receiver:
            raise Missed("the standby does not follow")
        if self._lossy:
            os.kill(receiver, signal.SIGSTOP)
            await asyncio.sleep(arena.rng.uniform(0.3, 1.0))
            lost = await asyncio.to_thread(both.lag)
        await asyncio.to_thread(both.primary.stop, "immediate")
        if self._lossy:
            await asyncio.to_thread(both.kill_receiver, receiver)
        await asyncio.to_thread(both.promote)
        if self._moves:
            follow(arena, both)
        arena.log("failed over", to=str(both.primary.data_dir), behind=lost)
        await asyncio.to_thread(both.follow)


class Demotion(BaseFault):
    """The old primary stays up, read-only, with all its sessions; the writer is elsewhere."""

    name = "demotion"
    label = "F19"
    disruptive = 10.0

    def __init__(self, both: Pair) -> None:
        self._pair = both

    async def strike(self, arena: Arena) -> None:
        await settled_within(self._demote(arena), _SECONDS)

    async def _demote(self, arena: Arena) -> None:
        both = self._pair
        await healed(
            arena,
            "alter system set default_transaction_read_only = on",
            "select pg_reload_conf()",
            # What began before may write still, and nobody would hear of it.
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
            " and backend_type = 'client backend' and xact_start is not null",
        )
        while await asyncio.to_thread(both.lag):
            await asyncio.sleep(0.02)
        old = both.primary
        await asyncio.to_thread(both.promote)
        arena.log("demoted", was=str(old.data_dir), now=str(both.primary.data_dir))
        await asyncio.sleep(arena.rng.uniform(2.0, 5.0))
        await asyncio.to_thread(both.follow)


def follow(arena: Arena, both: Pair) -> None:
    """Point the proxy at the primary; sessions with the old one are gone."""
    proxy = proxy_of(arena)
    proxy.retarget(both.primary.dsn)
    proxy.cut()


@contextmanager
def standby(*, waits: bool) -> Generator[Ground]:
    """A primary with a standby, behind one address; commits wait for it, or do not."""
    with pair(newest(), settings=BASE, waits=waits) as both:
        make = partial(Failover, both, lossy=not waits)
        yield PairGround(
            Server(both.dsn, both),  # type: ignore[arg-type]
            faults={make().name: make},
            without=_WITHOUT,
            forgetful=frozenset() if waits else frozenset({make().name}),
            both=both,
        )


@contextmanager
def multi_host() -> Generator[Ground]:
    """A primary and a standby with an address each; the dsn names both and asks for the writer."""
    with pair(newest(), settings=BASE, waits=True) as both:
        second = CuttingProxy(both.standby.dsn)
        try:
            yield MultiHostGround(
                Server(both.dsn, both),  # type: ignore[arg-type]
                faults={
                    "failover": partial(Failover, both, lossy=False, moves=False),
                    "demotion": partial(Demotion, both),
                },
                without=_WITHOUT,
                both=both,
                second=second,
            )
        finally:
            second.close()


@dataclass
class PairGround(Ground):
    """The proxy leads to the primary of the moment."""

    both: Pair | None = None

    def behind(self, dsn: str) -> str:
        assert self.both is not None
        return self.both.primary.dsn_for(urlsplit(dsn).path.lstrip("/"))


@dataclass
class MultiHostGround(PairGround):
    """The proxy leads to the first server, and another one to the second."""

    second: CuttingProxy | None = None

    def through(self, proxy: CuttingProxy) -> str:
        assert self.second is not None
        user, _, place = proxy.dsn.removeprefix("postgresql://").partition("@")
        host, _, database = place.partition("/")
        other = urlsplit(self.second.dsn).netloc.rpartition("@")[2]
        return f"postgresql://{user}@{host},{other}/{database}?target_session_attrs=read-write"
