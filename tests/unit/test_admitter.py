"""When the admitter asks which flows have tickets, on a store that only notes what it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.waiting import eventually

from pgqueue.worker.events import QueuesReady
from pgqueue.worker.flows.admitter import Admitter


class Store:
    """``asked``: for each search, whether for lines as well. ``admitted``: flows in their order."""

    def __init__(self) -> None:
        self.link = SimpleNamespace(generation=1)
        self.asked: list[bool] = []
        self.admitted: list[str] = []
        self.ticketed: list[str] = []

    async def ticketed_flows(self, floors: Any, server: Any, *, lines: bool) -> list[str]:
        self.asked.append(lines)
        found, self.ticketed = self.ticketed, []
        return found

    async def admit(self, flow: str, most: int, floors: Any, server: Any) -> dict[str, Any]:
        self.admitted.append(flow)
        return {
            "admitted": 1, "more": False, "wait": None, "lowest": 1, "first_turn": None,
            "newest_ticket": 1, "following": 2, "oldest": 2, "cleared": True, "queues": ["mail"],
            "server": "monday",
        }  # fmt: skip


class Events:
    def __init__(self) -> None:
        self.sent: list[QueuesReady] = []

    def send(self, event: QueuesReady) -> None:
        self.sent.append(event)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def admitter(store: Store, events: Events) -> AsyncIterator[Admitter]:
    admitter = Admitter(
        cast("Any", store), events=events, runner=cast("Any", SimpleNamespace(finished=0)), slots=4
    )
    admitter.start()
    yield admitter
    await admitter.stop()


async def test_who_first_hears_of_flows_looks_for_what_was_told_before(
    admitter: Admitter, store: Store, events: Events
) -> None:
    """Looks of the claimer before that were not for tickets: no other look may come for long."""
    store.ticketed = ["crm"]
    admitter.on_look(poll=True)
    assert store.asked == []
    admitter.on_fleet(4, 1)
    await eventually(lambda: events.sent == [QueuesReady(["mail"])])
    assert store.admitted == ["crm"]
    assert store.asked == [True]


async def test_who_knows_of_flows_is_told_by_its_own_looks(
    admitter: Admitter, store: Store
) -> None:
    admitter.on_fleet(4, 1)
    await eventually(lambda: store.asked == [True])
    admitter.on_fleet(4, 1)
    admitter.on_look(poll=False)
    await eventually(lambda: store.asked == [True, False])


async def test_a_flow_with_tickets_is_admitted_without_a_search(
    admitter: Admitter, store: Store, events: Events
) -> None:
    admitter.ticketed(["crm"])
    await eventually(lambda: events.sent == [QueuesReady(["mail"])])
    assert store.admitted == ["crm"]
    assert store.asked == []
