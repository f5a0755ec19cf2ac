"""Taking a seat takes a moment: what a heartbeat says meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tests.harness.fakes import Said

from pgqueue.config import WorkerSettings
from pgqueue.db.listener import Listener
from pgqueue.errors import Unreachable
from pgqueue.worker.claim.seating import Seating
from pgqueue.worker.events import HeartbeatWanted


class Store:
    def __init__(self) -> None:
        self.heard: list[frozenset[str]] = []
        self.fails = False
        self.turn = asyncio.Lock()
        self.link = SimpleNamespace(listen=self._listen)
        self.listener = Listener("", lambda _channel, _payload: None)

    async def _listen(self) -> None:
        self.heard.append(self.listener.wanted)

    async def raise_flags(self, _queues: object) -> dict[str, bool]:
        if self.fails:
            raise Unreachable("the statement took too long")
        return {}

    async def call(self, _payload: str) -> None: ...


def seating(store: Store, said: Said[Any]) -> Seating:
    return Seating(
        cast("Any", store),
        store.listener,
        settings=WorkerSettings.of({}),
        flags=cast("Any", SimpleNamespace(leave_watch=lambda: ["default"])),
        events=said,
    )


def on_heartbeat(one: Seating, before: int, workers: int, *, takes_jobs: bool = True) -> None:
    one.on_heartbeat(before, workers, running=0, takes_jobs=takes_jobs)


async def settled(one: Seating) -> None:
    while one.moving is not None and not one.moving.done():
        await asyncio.wait([one.moving])


async def test_what_a_heartbeat_says_while_it_moves_is_not_forgotten() -> None:
    store, said = Store(), Said[Any]()
    one = seating(store, said)
    on_heartbeat(one, 0, 5)
    await settled(one)
    async with store.turn:  # a claim is on its way
        on_heartbeat(one, 0, 5, takes_jobs=False)
        await asyncio.sleep(0)
        on_heartbeat(one, 0, 5)
    await settled(one)
    one.on_idle()
    assert one.seat.rank == 0 or HeartbeatWanted() in said


async def test_it_stops_listening_though_a_flag_could_not_be_raised() -> None:
    """The session lives on: nobody else would tune it."""
    store = Store()
    one = seating(store, Said())
    on_heartbeat(one, 0, 50)
    await settled(one)
    store.fails = True
    on_heartbeat(one, 5, 50)
    await settled(one)
    assert store.heard[-1] == one.seat.channels
