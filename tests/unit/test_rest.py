"""Connections that nobody uses are closed, and the duties borrow the heartbeat's meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.fakes import Said

from pgqueue.db.faults import Contended
from pgqueue.db.lent import Borrower, Lender
from pgqueue.db.link import Link, Watch
from pgqueue.db.role_session import RoleSession
from pgqueue.db.watch import NEVER
from pgqueue.worker.events import FleetEvent, MinutePassed
from pgqueue.worker.fleet.watchdog import Watchdog
from pgqueue.worker.timings import TIMINGS

DSN = "postgresql:///nowhere"
HOW: dict[str, Any] = {"deadline": 8.0, "pooled": False}
RESTS_AFTER = {
    "finish": TIMINGS.watch.outcomes_rest_after,
    "duties": TIMINGS.watch.duties_rest_after,
}


class Fake:
    """A connection that can be closed."""

    def __init__(self) -> None:
        self.closed = False
        self._transport = SimpleNamespace(get_extra_info=lambda _: None)

    async def fetch(self, sql: str) -> list[Any]:
        return []

    def is_closed(self) -> bool:
        return self.closed

    async def close(self) -> None:
        self.closed = True

    def terminate(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    """The connections that links open."""
    fakes: list[Fake] = []

    async def connect(_: RoleSession) -> Fake:
        fakes.append(Fake())
        return fakes[-1]

    monkeypatch.setattr(RoleSession, "open", connect)
    return fakes


async def link_of(role: str, watch: Watch, *, idle: float) -> Link:
    """One that is connected, and that nobody has used for so many seconds."""
    link = Link(DSN, role=role, watch=watch, rests_after=RESTS_AFTER.get(role, NEVER), **HOW)
    await link.fetch("select 1")
    link.idle_since = time.monotonic() - idle
    watch.add(link)
    return link


@pytest.mark.parametrize(
    ("role", "idle", "rests"),
    [
        ("finish", 59.0, False),
        ("finish", 61.0, True),
        ("duties", 9.0, False),
        ("duties", 11.0, True),
        ("claim", 1e6, False),
        ("heartbeat", 1e6, False),
        ("finish", float("-inf"), False),  # a statement is under way
    ],
)
async def test_what_nobody_uses_is_closed(
    opened: list[Fake], role: str, idle: float, rests: bool
) -> None:
    watch = Watch()
    link = await link_of(role, watch, idle=idle)
    (connection,) = opened
    assert (link in watch.idle(time.monotonic())) is rests
    link.rest()
    assert link.connected is not rests
    await link.close()
    assert connection.closed
    assert watch.unheard_since(float("inf")) == []


async def test_the_watchdog_lets_each_rest_on_its_own_loop(opened: list[Fake]) -> None:
    theirs, own = Watch(), Watch()
    told: list[Callable[[], object]] = []
    said = Said[FleetEvent]()
    dog = Watchdog(
        theirs, own, view=cast("Any", SimpleNamespace(running=0)), deadline=8.0,
        side=cast("Any", SimpleNamespace(tell=told.append)), events=said,
    )  # fmt: skip
    duties = await link_of("duties", own, idle=100.0)
    finish = await link_of("finish", theirs, idle=100.0)
    now = time.monotonic()
    dog.rest(now)
    assert (duties.connected, finish.connected) == (False, True)
    for call in told:
        call()
    assert not finish.connected
    assert said == [MinutePassed()]
    dog.rest(now + 59.0)
    dog.rest(now + 61.0)
    assert said == [MinutePassed()] * 2
    await asyncio.gather(duties.close(), finish.close())


class _Lent(Lender):
    connected = True

    def __init__(self, *, slow: bool = False) -> None:
        super().__init__(DSN, role="heartbeat", watch=Watch(), **HOW)
        self.asked: list[str] = []
        self.slow = slow

    async def brief(self, sql: str, *args: Any) -> list[Any]:
        self.asked.append(sql)
        if self.slow:
            raise Contended("it took too long")
        return []


class _Own(Borrower):
    connected = False

    def __init__(self, lender: Lender, *, busy: bool = False) -> None:
        super().__init__(DSN, lender=lender, busy=lambda: busy, role="duties", watch=Watch(), **HOW)
        self.asked: list[str] = []

    async def fetch(self, sql: str, *args: Any, deadline: float | None = None) -> list[Any]:
        self.asked.append(sql)
        return []


@pytest.mark.parametrize(
    ("open_", "lends", "busy", "slow", "asked"),
    [
        (False, True, False, False, (["a"], [])),
        (False, True, False, True, (["a"], ["a"])),  # it takes longer, and has its own time
        (False, True, True, False, ([], ["a"])),
        (False, False, False, False, ([], ["a"])),
        (True, True, False, False, ([], ["a"])),
    ],
)
async def test_whose_connection_a_quick_statement_takes(
    open_: bool, lends: bool, busy: bool, slow: bool, asked: tuple[list[str], list[str]]
) -> None:
    lender = _Lent(slow=slow)
    own = _Own(lender, busy=busy)
    lender.connected, own.connected = lends, open_  # type: ignore[misc]
    await own.quick("a")
    assert (lender.asked, own.asked) == asked
