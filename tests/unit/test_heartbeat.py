"""A heartbeat without a server: what it sends, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import itertools
import time
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock, call

import pytest
from tests.harness.fakes import Said
from tests.harness.waiting import eventually

from pgqueue.config import WorkerSettings
from pgqueue.errors import OutcomeUnknown, Unreachable
from pgqueue.worker.events import (
    CancelWanted,
    FleetEvent,
    LeaseHeldAgain,
    LeaseRevoked,
    LimitsTold,
    Rejoined,
    Seated,
)
from pgqueue.worker.fleet import heartbeat as module
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.heartbeat import Heartbeat
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.membership import Membership, State
from pgqueue.worker.fleet.signoff import Orders
from pgqueue.worker.lease import Lease

SEATED = Seated(0, 1, 2, takes_jobs=True)
USUAL: dict[str, Any] = {
    "alive": True, "before": 0, "workers": 1, "alike": 1, "server": "monday", "cancelled": [],
    "next_due": None, "next_slot": None, "age": 0.0, "expired": [], "vanished": [],
    "has_flows": False, "slots": None, "limits": None, "dead_rows": None,
}  # fmt: skip


class SaidButLimits(Said[FleetEvent]):
    """All but what each answer says of limits."""

    def send(self, event: FleetEvent) -> None:
        if not isinstance(event, LimitsTold):
            super().send(event)


class Server:
    """A store that answers as it is told, and notes what it was sent."""

    def __init__(self) -> None:
        self.link = SimpleNamespace(connects=1, connected=True)
        self.answers: list[dict[str, Any] | Exception] = []
        self.refuses: list[Exception] = []
        self.sent: list[str] = []
        self.ids: list[int | None] = []
        self.removed: list[int] = []
        self.registered: list[int] = []
        self._pids = itertools.count(1)

    async def own_session(self) -> tuple[int, Any]:
        self.sent.append("own_session")
        return next(self._pids), "start"

    async def register(self, worker_id: int, *_: Any) -> None:
        self.sent.append("register")
        self.registered.append(worker_id)
        if self.refuses:
            raise self.refuses.pop(0)

    async def remove_worker(self, worker_id: int) -> None:
        self.removed.append(worker_id)

    async def renew(self, worker_id: int | None, *_: Any) -> dict[str, Any]:
        self.sent.append("renew")
        self.ids.append(worker_id)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        return {**USUAL, **answer}


class Scene:
    def __init__(self, *, listen: bool = True) -> None:
        self.server = Server()
        self.said = SaidButLimits()
        self.maintenance = Mock()
        self.membership = Membership()
        self.orders = Orders()
        self.lease = Lease()
        view = SimpleNamespace(running=2, takes_jobs=True, due_since=None, allowed_slots=None)
        settings = WorkerSettings(listen=listen, heartbeat=0.05)
        self.heart = Heartbeat(
            cast("Any", self.server), Identity(settings, ["a"], ["t"], None),
            membership=self.membership, census=Census(settings.heartbeat, settings.lease),
            lease=self.lease, maintenance=self.maintenance, orders=self.orders,
            view=cast("Any", view), events=self.said,
        )  # fmt: skip

    async def registered(self) -> Heartbeat:
        await self.heart.register()
        return self.heart

    async def beat(self, count: int) -> None:
        """Send so many heartbeats."""
        task = asyncio.create_task(self.heart.beat())
        await eventually(lambda: len(self.server.ids) >= count)
        self.orders.halt = True
        self.heart.hurry()
        await task


async def test_it_registers_and_renews_with_one_session() -> None:
    scene = Scene()
    heart = await scene.registered()
    (worker_id,) = scene.server.registered
    assert scene.membership.worker_id == worker_id
    assert scene.lease.until > time.monotonic() + 10.0
    await heart.send_once()
    await heart.send_once()
    assert scene.server.sent == ["own_session", "register", "renew", "renew"]
    assert scene.server.ids == [worker_id, worker_id]
    assert scene.said == [SEATED, SEATED]
    assert heart.renewals.count == 2
    assert scene.maintenance.mock_calls == []


async def test_another_session_is_told_and_breaks_the_row_of_renewals() -> None:
    scene = Scene()
    heart = await scene.registered()
    scene.lease.renewing_since = 0.0
    scene.server.link.connects = 2
    await heart.send_once()
    assert scene.server.sent[2:] == ["own_session", "renew"]
    assert heart.registration.session == (2, "start")
    assert scene.lease.renewing_since > 0.0


async def test_behind_a_pooler_no_session_is_asked_for() -> None:
    scene = Scene(listen=False)
    heart = await scene.registered()
    scene.server.link.connects = 2
    await heart.send_once()
    assert scene.server.sent == ["register", "renew"]
    assert heart.registration.session == (None, None)


async def test_a_registration_whose_answer_was_lost_is_taken_back() -> None:
    scene = Scene()
    scene.server.refuses = [OutcomeUnknown("lost")]
    with pytest.raises(OutcomeUnknown):
        await scene.heart.register()
    assert scene.server.removed == scene.server.registered
    assert scene.membership.state is State.OUT


async def test_what_an_answer_asks_for_is_done() -> None:
    scene = Scene()
    heart = await scene.registered()
    scene.lease.cut(0.0)
    scene.server.answers = [
        {"cancelled": [4], "expired": [7]},
        {"vanished": [8], "server": "tuesday"},
    ]
    await heart.send_once()
    await heart.send_once()
    assert scene.said == [LeaseHeldAgain(), SEATED, CancelWanted([4]), SEATED]
    assert scene.maintenance.mock_calls == [
        call.rescue([7]),
        call.reconcile(),
        call.rescue([8], vanished=True),
    ]


async def test_a_heartbeat_that_was_late_judges_nobody() -> None:
    scene = Scene()
    heart = await scene.registered()
    scene.lease.renewing_since = 0.0
    scene.server.answers = [{"age": 60.0, "expired": [7], "vanished": [8]}]
    await heart.send_once()
    assert scene.maintenance.mock_calls == []
    assert scene.lease.renewing_since > 0.0


async def test_a_worker_whose_row_is_gone_registers_anew() -> None:
    scene = Scene()
    heart = await scene.registered()
    scene.server.answers = [{"alive": False}]
    await heart.send_once()
    former, worker_id = scene.server.registered
    assert scene.membership.worker_id == worker_id
    assert scene.said == [LeaseRevoked(), Rejoined()]
    assert scene.maintenance.mock_calls == [call.rescue([former], orphaned=True)]
    assert heart.former_rescue is scene.maintenance.rescue.return_value
    assert scene.lease.is_over, "until what was claimed under the old lease is dropped"
    scene.lease.forget()
    assert not scene.lease.is_over


async def test_a_worker_that_halts_does_not_register_anew() -> None:
    scene = Scene()
    heart = await scene.registered()
    scene.orders.halt = True
    scene.server.answers = [{"alive": False}]
    await heart.send_once()
    assert len(scene.server.registered) == 1
    assert scene.said == []


async def test_errors_are_said_once_and_so_is_their_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "pgqueue.worker")
    monkeypatch.setattr(module, "RetryDelay", lambda: Mock(delay=lambda: 0.0))
    scene = Scene()
    await scene.registered()
    scene.server.answers = [{}, Unreachable("one"), Unreachable("two"), {}]
    await scene.beat(4)
    assert [m for m in caplog.messages if "lease" in m] == [
        "the lease cannot be renewed: one",
        "the lease is being renewed again",
    ]
    assert scene.said[:3] == [SEATED, SEATED, Rejoined()]


async def test_it_tries_to_register_until_it_can(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RetryDelay", lambda: Mock(delay=lambda: 0.0))
    scene = Scene()
    await scene.registered()
    scene.server.answers = [{"alive": False}, {"alive": False}, {"alive": False}]
    scene.server.refuses = [Unreachable("one"), Unreachable("two")]
    await scene.beat(4)
    former = scene.server.registered[0]
    assert scene.server.ids[:3] == [former, None, None]
    assert scene.server.ids[3] == scene.server.registered[-1]
    # Nothing is dropped here, so the new lease does not hold yet: that is said as well.
    assert scene.said[:4] == [LeaseRevoked(), Rejoined(), LeaseHeldAgain(), SEATED]
    assert scene.maintenance.mock_calls == [call.rescue([former], orphaned=True)]
    assert caplog.text.count("was lost") == 1
    assert caplog.text.count("cannot be renewed") == 1


@pytest.mark.parametrize("listen", [True, False])
async def test_without_its_session_the_lease_is_cut_where_others_see_it(listen: bool) -> None:
    scene = Scene(listen=listen)
    await scene.registered()
    scene.heart.on_lost()
    assert (scene.lease.until < time.monotonic() + 1.0) is listen
