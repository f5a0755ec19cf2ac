"""What all faults share: their shape, a session that no fault disturbs, and ways to wait."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil

from chaos.faults.cutting import CuttingProxy

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    from chaos.arena import Arena, WorkerProcess

__all__ = [
    "DRIVER_ERRORS",
    "OURS",
    "BaseFault",
    "Impossible",
    "Missed",
    "direct",
    "healed",
    "is_alive",
    "lease_of",
    "own_pids",
    "proxy_of",
    "sessions",
    "settled_within",
    "some_worker",
    "wait_for",
]

# The third kind says, with several hosts in the dsn, that none of them is a writer.
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
OURS = "chaos fault"  # our own sessions, which are nobody's victims
# Whatever database and role default to at the moment.
_CALM = {
    "application_name": OURS,
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "search_path": "",
}
_POLL_SECONDS = 0.02
_LEASE = 3.0


class Missed(Exception):
    """There was nothing to strike: nothing happened."""


class Impossible(Exception):
    """This machine cannot do that; the message says what it lacks."""


class BaseFault:
    """A fault that others derive from; see chaos.arena.Fault for what it promises."""

    name: str = ""
    label: str = ""
    disruptive: float = 0.0
    victims: Sequence[int] | None = None

    async def strike(self, arena: Arena) -> None:
        """Inject the fault, wait its time, and heal it before returning."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.label} {self.name}>"


@asynccontextmanager
async def direct(
    arena: Arena, *, patience: float = 30.0, **settings: str
) -> AsyncGenerator[Any, None]:
    """Open a superuser's session past the proxy; wait for a server that is away or full."""
    deadline = time.monotonic() + patience
    connection: Connection | None = None
    while connection is None:
        try:
            connection = await asyncpg.connect(
                arena.dsn, timeout=5.0, server_settings={**_CALM, **settings}
            )
        except (OSError, TimeoutError, *DRIVER_ERRORS):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
    try:
        yield connection
    finally:
        connection.terminate()


async def healed(arena: Arena, *statements: str, seconds: float = 60.0) -> None:
    """Run these until they have been carried out, whatever else happens to the server meanwhile."""

    async def work() -> None:
        while True:
            try:
                async with direct(arena, patience=seconds, synchronous_commit="local") as own:
                    for statement in statements:
                        await own.execute(statement)
                return
            except (OSError, *DRIVER_ERRORS):
                await asyncio.sleep(0.1)

    await settled_within(work(), seconds)


async def wait_for(condition: Any, *, seconds: float) -> Any:
    """Poll until ``condition()``, which may be async, is true; its last value after so long."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value or time.monotonic() > deadline:
            return value
        await asyncio.sleep(_POLL_SECONDS)


async def settled_within(work: Any, seconds: float) -> None:
    """Let ``work`` come to its end, also when we are cancelled: a healing must not be cut short."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait_for(asyncio.shield(task), seconds)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(task, seconds)
        raise


def some_worker(arena: Arena) -> WorkerProcess:
    """Draw a worker that has running processes."""
    ready = [worker for worker in arena.workers if worker.alive and worker.pids()]
    if not ready:
        raise Missed("no worker runs")
    return arena.rng.choice(ready)


def own_pids(pids: Iterable[int]) -> list[int]:
    """Return the pids as these processes know them: a clock of their own goes with a namespace."""
    found: list[int] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            found += [int(re.findall(r"^NSpid:.*\s(\d+)$", status, re.MULTILINE)[0])]
    return found


def is_alive(pid: int) -> bool:
    """False for none, and for one that has ended and is not reaped yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lease_of(arena: Arena) -> float:
    """The lease that the workers of this arena were given."""
    settings: dict[str, Any] = arena.workers[0].config.get("settings", {}) if arena.workers else {}
    return float(settings.get("lease", _LEASE))


def proxy_of(arena: Arena) -> CuttingProxy:
    """The proxy, if it can tell connections apart."""
    if not isinstance(arena.proxy, CuttingProxy):
        raise Impossible("the proxy of this arena does not know the protocol")
    return arena.proxy


async def sessions(connection: Connection, role: str = "all") -> list[Record]:
    """The sessions of this role in this database; behind a pooler a worker's have one name."""
    if role == "all":
        names = ["pgqueue %"]
    elif role in ("client", "task"):
        names = [f"pgqueue {role}"]
    else:
        names = [f"pgqueue {role}", "pgqueue worker"]
    return await connection.fetch(
        "select pid, application_name, backend_start from pg_stat_activity where datname ="
        " current_database() and application_name like any ($1) and pid <> pg_backend_pid()",
        names,
    )
