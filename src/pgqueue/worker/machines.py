"""The machines of a worker: here they are built, joined and ended, and nowhere else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pgqueue.config import WorkerSettings
from pgqueue.db.link import Link, Watch
from pgqueue.db.listener import Listener
from pgqueue.db.statements import statement
from pgqueue.db.store import Store
from pgqueue.observe.job_fields import process_name
from pgqueue.worker.asker import Asker
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.claim.promoter import Promoter
from pgqueue.worker.claim.quotas import Quotas
from pgqueue.worker.claim_session import ClaimSession
from pgqueue.worker.events import EndEvent, Event, Events
from pgqueue.worker.finish.completer import Completer
from pgqueue.worker.finish.fruitless import Fruitless
from pgqueue.worker.fleet.heartbeat_thread import HeartbeatThread
from pgqueue.worker.fleet.holdings import Holdings
from pgqueue.worker.fleet.identity import Identity
from pgqueue.worker.fleet.membership import Membership
from pgqueue.worker.flows.admitter import Admitter
from pgqueue.worker.heartbeat_port import HeartbeatPort
from pgqueue.worker.hints import heed
from pgqueue.worker.idle import wait_idle
from pgqueue.worker.lease import Lease
from pgqueue.worker.limits.limited_queues import LimitedQueues
from pgqueue.worker.reactions import Reactions
from pgqueue.worker.run.in_child import children_of
from pgqueue.worker.run.large import LargeJobs
from pgqueue.worker.run.marks import Marks
from pgqueue.worker.run.misfits import Misfits
from pgqueue.worker.run.runner import Runner
from pgqueue.worker.run.transaction import JobTransactions
from pgqueue.worker.running_jobs import RunningJobs
from pgqueue.worker.served import off_loop
from pgqueue.worker.statistics import Statistics
from pgqueue.worker.timings import Timings

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.task import Task

__all__ = ["Machines"]

_SUPERVISOR = "PGQUEUE_SUPERVISOR"


class Machines:
    """The machines of one start, made on the worker's loop."""

    def __init__(
        self,
        app: App,
        settings: WorkerSettings,
        *,
        tasks: Mapping[str, Task[..., Any]],
        queues: Sequence[str],
        running_jobs: RunningJobs | None,
        life: Events[EndEvent],
        timings: Timings,
    ) -> None:
        self._settings, self._timings = settings, timings
        watch, lease, membership = Watch(), Lease(), Membership()
        how: dict[str, Any] = {"watch": watch, "deadline": settings.deadline}
        how |= {"pooled": not settings.listen, "pooled_by_session": app.pool.pooler == "session"}
        listener = Listener(statement("read_channel", app.schema), self.hear)
        self.claim_link = Link(
            app.pool.source, role="claim", listener=listener, on_lost=self._on_deaf, **how
        )
        rests_after = timings.watch.outcomes_rest_after
        self.finish_link = Link(app.pool.source, role="finish", rests_after=rests_after, **how)
        self.session = ClaimSession(Store(self.claim_link, app.schema), self)
        self.transactions = self._make_transactions(app)
        self.completer = Completer(
            Store(self.finish_link, app.schema), worker_name=process_name(),
            events=self, fruitless=Fruitless(settings.lease, lease), timings=timings.writes,
        )  # fmt: skip
        self.runner = self._make_runner(app, tasks, lease, running_jobs)
        self.holdings = Holdings(runner=self.runner, completer=self.completer)
        store = self.session.store
        self.promoter = Promoter(store, events=self, settings=settings, timings=timings.due)
        self.admitter = self._make_admitter(app, rests_after=rests_after, **how)
        self.claimer = Claimer(
            store, listener=listener, queues=queues, tasks=list(tasks),
            async_tasks=[name for name, task in tasks.items() if task.runs_in == "loop"],
            settings=settings, lease=lease, runner=self.runner, completer=self.completer,
            holdings=self.holdings, membership=membership, events=self, timings=timings,
            quotas=Quotas(self.runner.buffer.limited, settings.max_prefetch),
        )  # fmt: skip
        self.heartbeat_thread = self._make_heartbeat_thread(
            app, queues, list(tasks), watch=watch, lease=lease, membership=membership
        )
        self._reactions = Reactions(
            settings=settings, claimer=self.claimer, promoter=self.promoter,
            admitter=self.admitter, asker=Asker(store, self.runner, membership), runner=self.runner,
            heartbeat_thread=self.heartbeat_thread, session=self.session, lease=lease,
            pool=app.pool, life=life,
        )  # fmt: skip

    def _make_transactions(self, app: App) -> JobTransactions:
        deadline, roll_back = self._settings.deadline, self._timings.stop.roll_back
        connections = app.max_transactions
        return JobTransactions(
            app.pool, deadline=deadline, connections=connections, roll_back=roll_back
        )

    def _make_runner(
        self, app: App, tasks: Mapping[str, Task[..., Any]], lease: Lease,
        running_jobs: RunningJobs | None,
    ) -> Runner:  # fmt: skip
        store, slots, timings = self.session.store, self._settings.concurrency, self._timings
        return Runner(
            tasks, concurrency=slots, threads=off_loop(self._settings, tasks),
            running_jobs=running_jobs or RunningJobs.private(slots),
            completer=self.completer, transactions=self.transactions, marks=Marks(store),
            large=LargeJobs(store, timings.put_off), misfits=Misfits(store, timings.misfits),
            lease=lease, loop=asyncio.get_running_loop(), timings=timings,
            limited=LimitedQueues(slots), children=children_of(app, tasks, self._settings),
        )  # fmt: skip

    def _make_admitter(self, app: App, **how: Any) -> Admitter:
        store = Store(Link(app.pool.source, role="admit", **how), app.schema)
        return Admitter(store, events=self, runner=self.runner, slots=self._settings.concurrency)

    def _make_heartbeat_thread(
        self, app: App, queues: Sequence[str], tasks: list[str], *, watch: Watch, lease: Lease,
        membership: Membership,
    ) -> HeartbeatThread:  # fmt: skip
        supervisor = os.environ.get(_SUPERVISOR)
        who = Identity(
            self._settings, list(queues), tasks, int(supervisor) if supervisor else None,
            app.declared.names, app.tasks.flows(),
        )  # fmt: skip
        port = HeartbeatPort(
            claimer=self.claimer, promoter=self.promoter, runner=self.runner,
            completer=self.completer, listen=self._settings.listen,
        )  # fmt: skip
        return HeartbeatThread(
            app.pool.source, app.schema, who, app, pooled_by_session=app.pool.pooler == "session",
            watch=watch, lease=lease, membership=membership, holdings=self.holdings,
            view=port, events=self, timings=self._timings,
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
        """Begin to promote, to admit and to claim."""
        self.promoter.start()
        self.admitter.start()
        self._reactions.asker.start()
        self.claimer.start()

    async def close(self, *, sign_off: bool) -> None:
        """End the heartbeat last, and close the connections. ``sign_off``: leave the list."""
        await self._reactions.asker.stop()
        await self.runner.stop()
        await self.heartbeat_thread.stop(sign_off=sign_off)
        self.transactions.close()
        await self.admitter.stop()
        links = self.claim_link, self.finish_link, self.admitter.link
        await asyncio.gather(*(link.close() for link in links))

    async def wait_idle(self, queues: Sequence[str], tasks: Sequence[str]) -> None:
        """Wait until nothing is to do in these queues that has these tasks."""

        async def is_idle() -> bool:
            async with self.session.store.turn:
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
            unlogged=max(0, completer.completed - runner.counts.logged),
        )

    # -- what they tell each other

    def send(self, event: Event) -> None:
        """Do what follows from what a machine says."""
        self._reactions.on(event)

    def hear(self, payload: str) -> None:
        """Take a notification."""
        heed(payload, claimer=self.claimer, promoter=self.promoter, events=self)

    def _on_deaf(self) -> None:
        self.claimer.look_everywhere()
