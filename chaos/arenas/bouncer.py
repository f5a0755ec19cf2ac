"""The arena pgbouncer: workers and producers come through one in transaction mode. F34."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from chaos.arenas.ground import BASE, Ground, newest
from chaos.faults.fault import BaseFault, proxy_of, settled_within
from tests.harness.pgbouncer import bouncer
from tests.harness.servers import own_server

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["RestartBouncer", "pgbouncer"]

# Nobody listens there, and a role's session is nobody's for longer than a transaction.
_WITHOUT = frozenset(
    {"lose-notifications", "repeat-notifications"}
    | {f"terminate-{role}" for role in ("claim", "finish", "heartbeat", "duties", "client")}
    | {f"freeze-backend-{role}" for role in ("claim", "finish", "heartbeat")}
)


class Bouncers:
    """The pgbouncer of the moment."""

    def __init__(self, stack: ExitStack) -> None:
        self._outer = stack
        self._stack: ExitStack | None = None
        self._dsn = ""

    def start(self, dsn: str) -> str:
        """Start one for this database, in the place of the one before; return its dsn."""
        self.stop()
        self._dsn = dsn
        self._stack = ExitStack()
        return self._stack.enter_context(bouncer(dsn))

    def restart(self) -> str:
        return self.start(self._dsn)

    def stop(self) -> None:
        if self._stack is not None:
            self._stack.close()
            self._stack = None


class RestartBouncer(BaseFault):
    """pgbouncer ends with all its connections, and another takes its place."""

    name = "restart-pgbouncer"
    label = "F34"
    disruptive = 6.0

    def __init__(self, bouncers: Bouncers) -> None:
        self._bouncers = bouncers

    async def strike(self, arena: Arena) -> None:
        async def replace() -> None:
            await asyncio.to_thread(self._bouncers.stop)
            await asyncio.sleep(arena.rng.uniform(0.2, 3.0))
            proxy_of(arena).retarget(await asyncio.to_thread(self._bouncers.restart))

        await settled_within(replace(), 60.0)
        arena.log("replaced")


@dataclass
class BouncerGround(Ground):
    """The proxy leads to pgbouncer."""

    bouncers: Bouncers = field(default_factory=lambda: Bouncers(ExitStack()))

    def behind(self, dsn: str) -> str:
        return self.bouncers.start(dsn)


@contextmanager
def pgbouncer() -> Generator[Ground]:
    with ExitStack() as stack:
        server = stack.enter_context(own_server(newest(), settings=BASE))
        bouncers = Bouncers(stack)
        stack.callback(bouncers.stop)
        yield BouncerGround(
            server,
            faults={RestartBouncer.name: partial(RestartBouncer, bouncers)},
            without=_WITHOUT,
            settings={"listen": False, "poll_interval": 0.5},
            env={"CHAOS_PGBOUNCER": "1"},
            pooled=True,
            bouncers=bouncers,
        )
