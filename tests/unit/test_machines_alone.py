"""Each machine of a worker by itself: it is made without a server, and does what it is for.

Its neighbours are made up (tests/harness/fakes.py). The heartbeat, the watchdog, the side loop and
the periodic work have tests of their own beside these: test_heartbeat.py, test_watchdog.py,
test_side_loop.py and test_timetable.py.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
from collections import deque
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.harness.fakes import FakeStore, Returned, Room, Said, claimer_of, view
from tests.harness.waiting import PATIENCE, eventually
from tests.unit.test_runner import Bench

from pgqueue.config import WorkerSettings
from pgqueue.db.watch import Watch
from pgqueue.errors import OutcomeUnknown, Unreachable
from pgqueue.outcome import RELEASED
from pgqueue.supervisor import supervisor as supervising
from pgqueue.supervisor.slots import WRONG, Ending
from pgqueue.supervisor.supervisor import Supervisor
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.events import (
    FleetEvent,
    LeaseRevoked,
    QueuesReady,
    ReadyAgain,
    Rejoined,
    Seated,
    TicketsWritten,
    Written,
)
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.fleet import heartbeat_thread as module
from pgqueue.worker.fleet.background import Background
from pgqueue.worker.fleet.census import Census
from pgqueue.worker.fleet.duties import Duties
from pgqueue.worker.fleet.heartbeat_thread import HeartbeatThread
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.maintenance import Maintenance
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.fleet.rescuer import Rescuer
from pgqueue.worker.fleet.stragglers import Stragglers
from pgqueue.worker.lease import Lease
from pgqueue.worker.receipt import Entry
from pgqueue.worker.timings import TIMINGS

AWAY = Unreachable("away")
SETTINGS = WorkerSettings()
WHO = Identity(SETTINGS, ["a", "b"], ["t"], None)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def store_of(**answers: list[Any]) -> Any:
    return FakeStore(**answers)


# -- on the worker's loop


def job(number: int, queue: str = "a") -> dict[str, Any]:
    row = {"id": number, "queue": queue, "priority": 5, "position": number}
    return {**row, "task": "t", "attempt": 1, "flow": None}


async def test_a_claimer_hands_on_what_it_claims(caplog: pytest.LogCaptureFixture) -> None:
    """It goes on when claims fail, says so once, and then looks at all queues."""
    caplog.set_level("INFO", "pgqueue.worker")
    store = store_of(claim=[([job(1)], []), AWAY, AWAY, ([job(2), job(3, "b")], []), ([], [])])
    room = Room()
    claimer = claimer_of(store, room, Returned(), listen=False)
    claimer.start()
    await eventually(lambda: len(room.jobs) == 3)
    await eventually(lambda: not claimer.is_away)
    await claimer.stop()
    assert (room.jobs, claimer.claimed) == ([1, 2, 3], 3)
    assert caplog.text.count("away") == 1
    assert caplog.text.count("claiming again") == 1


async def test_a_claimer_that_waits_for_outcomes_to_be_written_stops() -> None:
    """The server is away, and is not waited for."""
    waits = asyncio.Event()

    async def wait_room() -> None:
        waits.set()
        await asyncio.Event().wait()

    full = SimpleNamespace(is_full=True, wait_room=wait_room)
    store = store_of()
    claimer = claimer_of(store, Room(), full, deadline=600.0, listen=False)
    claimer.start()
    await waits.wait()
    async with asyncio.timeout(PATIENCE):
        await claimer.stop()
    assert not store.sent


async def test_a_claimer_on_watch_listens_and_raises_flags() -> None:
    store = store_of()
    claimer = claimer_of(store, Room(), Returned())
    claimer.start()
    claimer.seating.on_heartbeat(0, 1, running=0, takes_jobs=True)
    await eventually(lambda: all(state.flag for state in claimer.states.values()))
    assert store.sent.index("listen") < store.sent.index("raise_flags")
    assert store.args["raise_flags"] == (["a", "b"],)
    await claimer.stop()


async def test_a_promoter_promotes_what_is_due_and_wakes_its_queues() -> None:
    row = {"queue": "a", "run_at": datetime.now(UTC) - timedelta(seconds=1), "flow": None}
    store, said = store_of(promote=[AWAY, [row], []]), Said[QueuesReady]()
    promoter = Promoter(store, events=said, settings=SETTINGS, timings=TIMINGS.due)
    promoter.start()
    await eventually(lambda: said)
    await promoter.stop()
    assert (said, promoter.promoted) == ([QueuesReady({"a"})], 1)
    assert store.args["wake"] == (["a"],)


async def test_a_promoter_tells_of_flows_and_knows_that_it_found_their_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = {"queue": "a", "run_at": datetime.now(UTC) - timedelta(seconds=1), "flow": "crm"}
    store, said = store_of(promote=[[row], []]), Said[QueuesReady | TicketsWritten]()
    promoter = Promoter(store, events=said, settings=SETTINGS, timings=TIMINGS.due)
    found: list[bool] = []
    monkeypatch.setattr(promoter.times, "promoted", lambda **how: found.append(how["found"]))
    promoter.start()
    await eventually(lambda: found)
    await promoter.stop()
    assert found[0]
    assert said == [TicketsWritten({"crm"})]
    assert store.count("wake") == 0


async def test_a_promoter_learns_when_the_next_job_is_due() -> None:
    row = {"queue": "a", "run_at": NOW, "flow": None}
    store = store_of(promote=[[], [row], []], next_due=[(0.01, NOW), (None, NOW)])
    said = Said[QueuesReady]()
    promoter = Promoter(store, events=said, settings=SETTINGS, timings=TIMINGS.due)
    promoter.start()
    await eventually(lambda: said)
    await promoter.stop()
    assert store.sent[:3] == ["promote", "next_due", "promote"]


async def test_a_completer_keeps_outcomes_until_they_are_written() -> None:
    store, said = store_of(finish=[AWAY, None]), Said[Any]()
    completer = Completer(store, worker_name="w", events=said)
    completer.start()
    completer.done(1, 7)
    await eventually(lambda: completer.is_away)
    entry = Entry(2, 7, RELEASED)
    completer.add(entry)
    assert completer.receipts() == {(1, 7), (2, 7)}
    assert await completer.stop(60.0) == 0
    assert store.sent == ["finish", "finish", "release"]
    assert (store.args["finish"][0], store.args["release"][0]) == ([1], [2])
    assert said == [Written([entry])]


async def test_a_runner_runs_jobs_and_hands_on_their_outcomes() -> None:
    bench = Bench(concurrency=2)
    ran: list[int] = []

    @bench.task
    async def note() -> None:
        ran.append(bench.runner.running)

    ids = await bench.run(note, 5)
    assert bench.outcomes.successes == ids
    assert len(ran) == 5
    await bench.runner.stop()


# -- on the heartbeat thread's loop


async def begin_and_step(one: Any) -> float:
    one.begin()
    return await one.step(called=False)


def passed_jobs(store: Any, said: Said[FleetEvent], cursors: list[int]) -> Stragglers:
    return Stragglers(
        store, WHO,
        census=Census(2.0, 15.0), view=view(cursors=lambda: cursors),
        links=cast("Any", SimpleNamespace(connects=lambda: (1, 1), upkeep=None)), events=said,
    )  # fmt: skip


async def test_the_search_for_passed_jobs_tells_where_they_are() -> None:
    floor = {"queue": None, "position": 7, "newest": 9, "oldest": 1, "following": 2, "server": "m"}
    store, said = (
        store_of(find_stragglers=[[floor, {"queue": "a", "position": 4}]]),
        Said[FleetEvent](),
    )
    passed = passed_jobs(store, said, [0] * 20)
    await begin_and_step(passed)
    assert said == [ReadyAgain({"a": 4})]
    assert passed.floor.server == "m"
    await passed.step(called=False)
    assert store.sent == ["find_stragglers"], (
        "nothing is behind a cursor that has not passed the floor"
    )


async def test_a_search_that_fails_is_made_again_soon() -> None:
    store, said = store_of(find_stragglers=[AWAY, []]), Said[FleetEvent]()
    passed = passed_jobs(store, said, [0] * 20)
    soon = await begin_and_step(passed)
    later = await passed.step(called=False)
    assert soon <= 0.2 < later
    assert (store.sent, said) == (["find_stragglers", "find_stragglers"], [])


async def call(wanted: Any) -> None:
    """What runs a call on the worker's loop, which is this one."""
    wanted()


def holdings_of(completer: Returned) -> Holdings:
    """The holdings of a worker that holds nothing."""
    return Holdings(runner=cast("Any", Room()), completer=cast("Any", completer))


def maintenance_of(
    store: Any, membership: Membership, background: Background, completer: Returned | None = None
) -> Maintenance:
    return Maintenance(
        store, WHO, cast("Any", None),
        links=cast("Any", SimpleNamespace(connects=lambda: (1, 1), upkeep=None)),
        holdings=holdings_of(completer or Returned()), membership=membership,
        census=Census(2.0, 15.0), view=view(), events=Said[Any](),
        side=cast("Any", SimpleNamespace(ask=call)), background=background, timings=TIMINGS,
    )  # fmt: skip


async def test_the_reconciler_releases_what_nobody_knows_of() -> None:
    """At the second look: an answer may have been on its way at the first one."""
    row = {**job(4), "claim_token": 7}
    given, store, membership = Returned(), store_of(held=[[row]]), Membership()
    reconciler = maintenance_of(store, membership, Background(), given).reconciler
    await begin_and_step(reconciler)
    assert not store.sent, "it has no id yet, so it holds nothing"
    membership.registered(5)
    await reconciler.step(called=False)
    assert (store.args["held"][0], given.ids) == ([5], [])
    await reconciler.step(called=False)
    assert [(entry.id, entry.token, entry.outcome) for entry in given.entries] == [(4, 7, RELEASED)]


async def test_a_look_at_what_is_held_that_fails_is_made_again_soon() -> None:
    store, membership = store_of(held=[AWAY]), Membership()
    membership.registered(5)
    reconciler = maintenance_of(store, membership, Background()).reconciler
    assert await begin_and_step(reconciler) <= 0.2
    assert reconciler.looks == 0


async def test_maintenance_does_at_once_what_is_called_for() -> None:
    store, membership, background = store_of(), Membership(), Background()
    membership.registered(5)
    maintenance = maintenance_of(store, membership, background)
    maintenance.start()
    maintenance.reconcile()
    await eventually(lambda: store.count("held"))
    await maintenance.rescue([8], orphaned=True)
    assert store.args["registered"] == ([8],)
    await background.cancel(60.0)


def duties_of(store: Any) -> Duties:
    return Duties(
        store,
        FakeStore(),  # pyright: ignore[reportArgumentType]
        hold=15.0,
        retention=60.0,
        rescuer=rescuer_of(store, Said()),
        timings=TIMINGS.duties,
    )


def rescuer_of(store: Any, said: Said[FleetEvent]) -> Rescuer:
    return Rescuer(store, crash_cap=3, events=said, confirm_after=0.75)


@pytest.mark.parametrize(
    ("answers", "sent"),
    [
        ({}, []),
        ({"due_duties": [{"history": 1.0}]}, []),
        (
            {"due_duties": [{"history": 0.0}]},
            ["take_duty", "ensure_history", "end_duty"],
        ),
        (
            {"due_duties": [{"retention": -1.0}], "drop_history": [True, True, False]},
            [
                "take_duty",
                "next_detach",
                *["drop_history"] * 3,
                "drop_audit",
                "drop_usage",
                "forget_keys",
                "forget_unique",
                "end_duty",
            ],
        ),
        (
            {"due_duties": [{"retention": -1.0}], "drop_audit": [1_000, 1_000, 7]},
            [
                "take_duty",
                "next_detach",
                "drop_history",
                *["drop_audit"] * 3,
                "drop_usage",
                "forget_keys",
                "forget_unique",
                "end_duty",
            ],
        ),
        ({"due_duties": [{"orphans": 0.0}]}, ["take_duty", "orphans", "end_duty"]),
        ({"due_duties": [{"orphans": 0.0}], "take_duty": [False]}, ["take_duty"]),
        (
            {"due_duties": [{"orphans": 0.0}], "orphans": [OutcomeUnknown("lost")]},
            ["take_duty", "orphans"],
        ),
        ({"due_duties": [AWAY]}, []),
    ],
)
async def test_duties_are_done_when_they_are_due(answers: Any, sent: list[str]) -> None:
    store = store_of(**answers)
    wait = await begin_and_step(duties_of(store))
    assert store.sent == ["due_duties", *sent]
    assert 1.0 <= wait <= 72.0


async def test_the_rescuer_releases_what_a_lost_worker_held() -> None:
    row = {**job(4), "worker_id": 8, "fate": "pending"}
    lost = {"id": 8, "host": "h", "pid": 9, "stopping": False}
    store, said = store_of(lock_lost=[[lost]], rescue=[[row], []]), Said[FleetEvent]()
    rescuer = rescuer_of(store, said)
    await rescuer.rescue([8])
    # At the second look its row is gone: what it was claiming as it ended is an orphan.
    assert store.sent == ["lock_lost", "rescue", "rewind", "registered", "rescue"]
    assert said == [ReadyAgain({"a": 4})]


async def test_a_rescue_that_fails_is_put_off(caplog: pytest.LogCaptureFixture) -> None:
    store, said = store_of(registered=[AWAY], orphans=[[8]]), Said[FleetEvent]()
    rescuer = rescuer_of(store, said)
    await rescuer.rescue([8], orphaned=True)
    assert not await rescuer.rescue_orphans(), "somebody should look again soon"
    assert (store.count("registered"), said) == (2, [])
    assert caplog.text.count("a rescue is put off: away") == 2


def heartbeat_thread_of(
    said: Said[FleetEvent], dsn: str = "postgresql:///nowhere"
) -> HeartbeatThread:
    settings = WorkerSettings(heartbeat=0.05)
    return HeartbeatThread(
        dsn, "pgqueue", Identity(settings, ["a", "b"], ["t"], None), cast("Any", None),
        watch=Watch(), lease=Lease(), membership=Membership(), holdings=holdings_of(Returned()),
        view=view(), events=said, timings=TIMINGS,
    )  # fmt: skip


async def test_a_heartbeat_thread_registers_renews_and_signs_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores = {"duties": store_of(), "heartbeat": store_of(renew=[{}, {}, {"alive": False}, {}])}
    monkeypatch.setattr(module, "Store", lambda link, _: stores[link.role])
    said = Said[FleetEvent]()
    thread = heartbeat_thread_of(said)
    await thread.start()
    first = thread.worker_id
    assert first is not None
    thread.reconcile()
    await eventually(lambda: stores["duties"].count("held") > 0)
    await eventually(lambda: Rejoined() in said)
    await eventually(lambda: thread.worker_id not in (None, first))
    await thread.stop()
    heartbeat = stores["heartbeat"]
    assert heartbeat.sent[:3] == ["own_session", "register", "renew"]
    assert heartbeat.sent[-1] == "remove_worker"
    assert (heartbeat.count("register"), heartbeat.count("remove_worker")) == (2, 1)
    assert any(isinstance(event, Seated) for event in said)
    assert said.index(LeaseRevoked()) < said.index(Rejoined())


async def test_a_heartbeat_thread_whose_server_is_not_there_does_not_start() -> None:
    said = Said[FleetEvent]()
    thread = heartbeat_thread_of(said, "postgresql:///nowhere?host=/nonexistent")
    with pytest.raises(Unreachable):
        await thread.start()
    with pytest.raises(Unreachable):
        await thread.start()
    await thread.stop()
    assert thread.worker_id is None


# -- the supervisor


class FakeProcess:
    """A child that says what it is told to say, and ends when it is told to stop."""

    made: list[FakeProcess]
    scripts: deque[list[str]]

    def __init__(self, number: int, options: Any, env: Any, *, servers: int) -> None:
        self.number, self.pid = number, 1000 + len(self.made)
        self.started = self.stopped = self.told_to_stop = False
        self.why: str | None = None
        self.kill_at: float | None = None
        self.code: int | None = None
        self.control, self._other = socket.socketpair()
        self._said: list[dict[str, Any]] = []
        self.made.append(self)
        for word in self.scripts.popleft():
            self._play(word)

    def _play(self, word: str) -> None:
        match word:
            case "TERM" | "HUP" as name:
                os.kill(os.getpid(), signal.Signals[f"SIG{name}"])
            case "wrong":
                self._say("failed", why="no such module")
                self.code = WRONG
            case "crash":
                self.code = -signal.SIGKILL
            case _:
                self._say(word)

    def _say(self, event: str, **more: str) -> None:
        self._said.append({"event": event, **more})
        self._other.send(b".")

    def read(self) -> list[dict[str, Any]]:
        if self._said:
            self.control.recv(len(self._said))
        said, self._said = self._said, []
        return said

    def stop(self, *, patience: float, force: bool = False) -> None:
        self.told_to_stop = True
        self.code = 0
        self._say("stopped")

    def ended(self) -> int | None:
        return self.code

    def ending(self, code: int) -> Ending:
        return Ending(code, self.started, self.stopped, self.why, math.inf)

    def how(self, code: int) -> str:
        return f"ended with exit code {code}"

    def close(self) -> None:
        self.control.close()
        self._other.close()


@pytest.mark.parametrize(
    ("processes", "scripts", "code"),
    [
        (2, [["started"], ["started", "TERM"]], 0),
        (1, [["wrong"]], WRONG),
        (1, [["started", "crash"], ["started", "TERM"]], 0),
        (1, [["started", "retiring"], ["started", "TERM"]], 0),
    ],
    ids=["they start and stop", "something is set wrong", "one crashes", "one retires"],
)
def test_a_supervisor_runs_processes(
    processes: int, scripts: list[list[str]], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProcess, "made", [], raising=False)
    monkeypatch.setattr(FakeProcess, "scripts", deque(scripts), raising=False)
    monkeypatch.setattr(supervising, "Process", FakeProcess)
    before = signal.getsignal(signal.SIGTERM)
    assert Supervisor("module:app", settings={}, processes=processes).run() == code
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(FakeProcess.made) == len(scripts)
    assert all(process.control.fileno() == -1 for process in FakeProcess.made)
