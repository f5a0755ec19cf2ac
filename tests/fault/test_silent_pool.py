"""A client's connection that is open and silent, and a statement that rightly takes long.

The client's own deadline is out of reach here: what ends is ended by asking another session.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from chaos.faults.cutting import CuttingProxy, Link

from pgqueue import App, calls
from pgqueue.db import stall
from pgqueue.db.stall import StallTimings
from pgqueue.errors import OutcomeUnknown, Unreachable
from tests.harness.waiting import eventually

UNREACHABLE = 3600.0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What was found each time that a session was asked about."""
    found: list[bool] = []
    real = stall.StallCheck._is_silent

    async def note(self: stall.StallCheck, idle: float) -> bool:
        silent = await real(self, idle)
        found.append(silent)
        return silent

    monkeypatch.setattr(stall.StallCheck, "_is_silent", note)
    return found


def impatient(app: App) -> App:
    """Let the server be asked soon, and the client's own deadline be out of reach."""
    app.pool.deadline = UNREACHABLE
    app.pool.timings = StallTimings(after=1.0, idle=3.0)  # a busy client may pause for one
    # Each enqueue looks for waiting workers: there is one statement, whatever the time.
    app.lookout = calls.Lookout(0.0, 0.0)
    return app


def client_of(dsn: str) -> tuple[App, Any]:
    app = impatient(App(dsn))

    @app.task
    async def note(n: int | str) -> None: ...

    return app, note


def is_client(link: Link) -> bool:
    return link.role == "client"


@pytest.mark.fault("F10")
@pytest.mark.usefixtures("app")
async def test_a_silent_connection_of_a_loop(cutting: CuttingProxy, asked: list[bool]) -> None:
    app, note = client_of(cutting.dsn)
    await asyncio.gather(*(note.aenqueue(n) for n in range(5)))  # each prepares the statement
    assert cutting.silence(is_client) > 1
    with pytest.raises(OutcomeUnknown):
        await note.aenqueue(6)
    # The others were idle, and are not tried one after the other.
    await note.aenqueue(7)
    assert asked.count(True) == 1
    await app.aclose()


@pytest.mark.fault("F10")
@pytest.mark.usefixtures("app")
async def test_what_was_not_executed_is_done_elsewhere(
    cutting: CuttingProxy, asked: list[bool]
) -> None:
    """It fell silent before the statement was as much as prepared."""
    app, note = client_of(cutting.dsn)
    await app.aenqueue_many([])
    cutting.silence(is_client)
    await note.aenqueue(1)
    assert asked.count(True) == 1
    await app.aclose()


@pytest.mark.fault("F10")
@pytest.mark.usefixtures("app")
async def test_a_silent_connection_of_threads(cutting: CuttingProxy, asked: list[bool]) -> None:
    app, note = client_of(cutting.dsn)
    together = threading.Barrier(5)

    def many(n: int) -> None:  # on each of their sessions both statements get prepared
        together.wait()
        for _ in range(20):
            note.enqueue(n)

    await asyncio.gather(*(asyncio.to_thread(many, n) for n in range(5)))
    cutting.silence(is_client)
    with pytest.raises(OutcomeUnknown):
        await asyncio.to_thread(note.enqueue, 6)
    await asyncio.to_thread(note.enqueue, 7)
    assert asked.count(True) == 1
    await asyncio.to_thread(app.close)


@pytest.mark.fault("F10")
@pytest.mark.usefixtures("app")
async def test_nobody_answers(cutting: CuttingProxy, asked: list[bool]) -> None:
    app, note = client_of(cutting.dsn)
    app.pool.timings = replace(app.pool.timings, ask=0.5)
    for _ in range(3):
        await note.aenqueue(1)
    cutting.blackhole()
    with pytest.raises(OutcomeUnknown):
        await note.aenqueue(2)
    assert asked.count(True) == 1
    cutting.cut()
    cutting.heal()
    await note.aenqueue(3)
    await app.aclose()


@pytest.mark.usefixtures("app")
async def test_what_is_on_its_way_is_left_alone(cutting: CuttingProxy, asked: list[bool]) -> None:
    """The server is idle until it has the whole statement."""
    app, note = client_of(cutting.dsn)
    await note.aenqueue("x")
    cutting.throttle(500_000)
    await note.aenqueue("x" * 900_000)
    assert asked
    assert not any(asked)
    await app.aclose()


async def test_what_waits_for_a_lock_is_left_alone(app: App, dsn: str, asked: list[bool]) -> None:
    impatient(app)

    @app.task
    async def note(n: int) -> None: ...

    other = await asyncpg.connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    first = await note.using(unique_key="k", connection=other).aenqueue(1)
    waiting = asyncio.ensure_future(note.using(unique_key="k").aenqueue(2))
    await eventually(lambda: len(asked) >= 3)
    await transaction.commit()
    second = await waiting
    assert (second.id, second.duplicate) == (first.id, True)
    assert not any(asked)
    await other.close()


async def test_who_is_refused_when_asking_waits_on(
    app: App, dsn: str, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where all connections of the server are taken: that is an answer."""
    impatient(app)

    @app.task
    async def note(n: int) -> None: ...

    async def refused() -> Any:
        raise Unreachable("too many connections")

    monkeypatch.setattr(app.pool, "connect_to_ask", refused)
    other = await asyncpg.connect(dsn)
    transaction = other.transaction()
    await transaction.start()
    await note.using(unique_key="k", connection=other).aenqueue(1)
    waiting = asyncio.ensure_future(note.using(unique_key="k").aenqueue(2))
    await eventually(lambda: len(asked) >= 3)
    await transaction.rollback()
    assert not (await waiting).duplicate
    await other.close()
