"""The machines of a worker: here they are built, joined and ended, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgqueue.config import WorkerSettings
from pgqueue.db.link import Link, Watch
from pgqueue.db.listener import Listener
from pgqueue.db.statements import statement
from pgqueue.db.store import Store
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.events import AnswerLost, FlagsTold, HeartbeatWanted, LimitReached
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.claim_session import ClaimSession
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.fleet.events import HeartbeatFailed
from pgqueue.worker.fleet.heartbeat_thread import HeartbeatThread
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.heartbeat_port import HeartbeatPort
from pgqueue.worker.hints import heed
from pgqueue.worker.idle import wait_idle
from pgqueue.worker.lease import Lease
from pgqueue.worker.ready_again import places_of, soonest_of
from pgqueue.worker.receipt import Entry
from pgqueue.worker.run.large import LargeJobs
from pgqueue.worker.run.misfits import Misfits
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.run.transaction import JobTransactions
from pgqueue.worker.running_jobs import RunningJobs
from pgqueue.worker.statistics import Statistics
from pgqueue.worker.timings import Timings

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.task import Task

__all__ = ["CannotWrite", "Machines", "Said"]

log = logging.getLogger("pgqueue.worker")

_SUPERVISOR = "PGQUEUE_SUPERVISOR"


@dataclass(frozen=True, slots=True)
class CannotWrite:
    """No outcome could be written for the length of a lease: this worker gives itself up."""

    error: BaseException


Said = LimitReached | CannotWrite | HeartbeatFailed
"""What the machines say to the worker: what decides over its life."""


class Machines:
    """The machines of one start, made on the worker's loop. ``say``: see ``Said``."""

    def __init__(
        self,
        app: App,
        settings: WorkerSettings,
        *,
        tasks: Mapping[str, Task[..., Any]],
        queues: Sequence[str],
        running_jobs: RunningJobs | None,
        say: Callable[[Said], None],
        timings: Timings,
    ) -> None:
        self._settings, self._timings, self.say = settings, timings, say
        watch, lease = Watch(), Lease()
        how: dict[str, Any] = {
            "watch": watch,
            "deadline": settings.deadline,
            "pooled": not settings.listen,
            "pooled_by_session": app.pool.pooler == "session",
        }
        listener = Listener(statement("read_channel", app.schema), self.hear)
        self.claim_link = Link(
            app.pool.dsn, role="claim", listener=listener, on_lost=self._on_deaf, **how
        )
        rests_after = timings.watch.outcomes_rest_after
        self.finish_link = Link(app.pool.dsn, role="finish", rests_after=rests_after, **how)
        self.session = ClaimSession(Store(self.claim_link, app.schema))
        self.transactions = JobTransactions(
            app.pool, deadline=settings.deadline, roll_back=timings.stop.roll_back
        )
        self.completer = self._make_completer(Store(self.finish_link, app.schema))
        self.runner = self._make_runner(tasks, lease, running_jobs)
        self.holdings = Holdings(
            receipts=(self.runner.receipts, self.completer.receipts),
            release=self.completer.add,
        )
        self.promoter = Promoter(
            self.session.store, lock=self.session.lock, on_ready=self._on_promoted,
            settings=settings, timings=timings.due,
        )  # fmt: skip
        self.claimer = Claimer(
            self.session.store, lock=self.session.lock, listener=listener,
            queues=queues, tasks=list(tasks), settings=settings, lease=lease,
            runner=self.runner, completer=self.completer, holdings=self.holdings,
            worker_id=lambda: self.heartbeat_thread.worker_id, say=self._on_claimer,
            timings=timings,
        )  # fmt: skip
        self.heartbeat_thread = self._make_heartbeat_thread(app, queues, list(tasks), watch, lease)

    def _make_completer(self, store: Store) -> Completer:
        fruitless = Fruitless(
            self._settings.lease,
            renewing_since=lambda: self.heartbeat_thread.renewing_since,
            give_up=lambda error: self.say(CannotWrite(error)),
        )
        return Completer(
            store, worker_name=f"{os.uname().nodename}:{os.getpid()}", fruitless=fruitless,
            on_lost=_on_lost, on_written=self._on_written, timings=self._timings.writes,
        )  # fmt: skip

    def _make_runner(
        self, tasks: Mapping[str, Task[..., Any]], lease: Lease, running_jobs: RunningJobs | None
    ) -> Runner:
        session, slots, timings = self.session, self._settings.concurrency, self._timings
        return Runner(
            tasks, concurrency=slots, running_jobs=running_jobs or RunningJobs.private(slots),
            completer=self.completer, transactions=self.transactions, quarantine=session.quarantine,
            large=LargeJobs(session.store, session.lock, timings.put_off),
            misfits=Misfits(session.store, session.lock, timings.misfits),
            lease=lease, on_room=self._on_room, loop=asyncio.get_running_loop(), timings=timings,
        )  # fmt: skip

    def _make_heartbeat_thread(
        self, app: App, queues: Sequence[str], tasks: list[str], watch: Watch, lease: Lease
    ) -> HeartbeatThread:
        supervisor = os.environ.get(_SUPERVISOR)
        who = Identity(self._settings, list(queues), tasks, int(supervisor) if supervisor else None)
        port = HeartbeatPort(
            claimer=self.claimer, promoter=self.promoter, runner=self.runner,
            completer=self.completer, lease=lease, pool=app.pool, listen=self._settings.listen,
            fail=lambda error: self.say(HeartbeatFailed(error)),
        )  # fmt: skip
        return HeartbeatThread(
            app.pool.dsn, app.schema, who, pooled_by_session=app.pool.pooler == "session",
            watch=watch, lease=lease, holdings=self.holdings, view=port, take=port.take,
            timings=self._timings,
        )  # fmt: skip

    # -- their life

    async def register(self) -> None:
        """Connect, and put the worker on the list of workers."""
        try:
            await self.heartbeat_thread.start()
        except BaseException:
            await self.heartbeat_thread.stop()
            raise

    def start(self) -> None:
        """Begin to promote and to claim."""
        self.promoter.start()
        self.claimer.start()

    async def close(self, *, sign_off: bool) -> None:
        """End the heartbeat last, and close the connections. ``sign_off``: leave the list."""
        await self.runner.stop()
        await self.heartbeat_thread.stop(sign_off=sign_off)
        self.transactions.close()
        await asyncio.gather(self.claim_link.close(), self.finish_link.close())

    async def wait_idle(self, queues: Sequence[str], tasks: Sequence[str]) -> None:
        """Wait until nothing is to do in these queues that has these tasks."""

        async def is_idle() -> bool:
            async with self.session.lock:
                return await self.session.store.is_idle(queues, tasks)

        await wait_idle(
            wait_quiet=lambda: self.runner.wait_quiet(None), is_idle=is_idle,
            timings=self._timings.idle,
        )  # fmt: skip

    def statistics(self) -> Statistics:
        """Return what they have done."""
        claimer, runner, completer = self.claimer, self.runner, self.completer
        return Statistics(
            claimed=claimer.claimed,
            started=runner.started,
            running=runner.running,
            stuck=runner.stuck,
            completed=completer.completed,
            retried=runner.counts.retried,
            dead=runner.counts.dead,
            released=runner.counts.released,
            cancelled=runner.counts.cancelled,
            promoted=self.promoter.promoted,
            unwritten=completer.backlog,
            claims=claimer.claims,
            flushes=completer.flushes,
        )

    # -- what they tell each other

    def hear(self, payload: str) -> None:
        """Take a notification."""
        heed(
            payload, claimer=self.claimer, promoter=self.promoter, hurry=self.heartbeat_thread.hurry
        )

    def _on_claimer(self, said: AnswerLost | FlagsTold | LimitReached | HeartbeatWanted) -> None:
        match said:
            case FlagsTold(up, raised):
                self.promoter.on_flags(up=up, raised=raised)
            case HeartbeatWanted():
                self.heartbeat_thread.hurry()
            case AnswerLost():
                self.heartbeat_thread.reconcile()
            case LimitReached():
                self.say(said)

    def _on_room(self) -> None:
        self.claimer.on_room()

    def _on_deaf(self) -> None:
        self.claimer.look_everywhere()

    def _on_promoted(self, queues: Iterable[str]) -> None:
        self.claimer.on_ready(queues)

    def _on_written(self, entries: Sequence[Entry]) -> None:
        """What was released or put off is somebody's work again."""
        soonest = soonest_of(entries)
        if soonest is not None and soonest <= self._settings.heartbeat * 2:
            self.promoter.due_in(soonest)
        places = places_of(entries)
        for queue, position in places:
            self.claimer.on_rewind(queue, position)
        if places:
            self.session.announce(places, self._on_announced)

    def _on_announced(self, lowest: Mapping[str, int]) -> None:
        for queue, position in lowest.items():
            self.claimer.on_rewind(queue, position)


def _on_lost(job_id: int) -> None:
    log.warning(
        "job %d was not this worker's any more when its outcome was to be written "
        "(lease lost, cancelled or deleted); the outcome is dropped", job_id,
        extra={"job_id": job_id},
    )  # fmt: skip
