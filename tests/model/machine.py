"""Whatever producers, workers, operators and time do: the tables are as the model has it.

After each step every job is read and compared: its state, attempt, crashes, errors, claim, and what
was asked of it. So a terminal job stays as it is (I3), a job has one live claim (I5), attempts are
counted as they should be (I7), a key has one live job (I10), and no job is lost or doubled (I26).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, ClassVar

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.model.fleet import Fleet
from tests.model.model import LIVE, Job, World
from tests.model.place import CAP, MAX_ATTEMPTS, QUEUES, Place

from pgqueue.errors import Discard, Snooze
from pgqueue.failure import describe
from pgqueue.job import MOVES, JobState
from pgqueue.outcome import (
    CANCELLED,
    DONE,
    RELEASED,
    Cancelled,
    Dead,
    Done,
    Outcome,
    Released,
    RetryAt,
    Snoozed,
    decide,
)
from pgqueue.retry import Backoff

__all__ = ["Machine"]

KEYS = ["k1", "k2", "k3"]
MOST_LIVE = 8
STARTS: list[list[str]] = [[], [], QUEUES[:1], QUEUES[1:]]  # paused from the beginning
FATES = ["heartbeat", "late", "rescue", "die", "orphans", "crash", "crash", "crash"]
N = st.integers(0, 1000)
ERRORS = [ValueError("no"), ValueError("no"), Discard("no"), Snooze(60)]
ENDS = st.sampled_from([DONE, DONE, CANCELLED, RELEASED, *ERRORS])
OPTIONS = st.fixed_dictionaries(
    {"queue": st.sampled_from(QUEUES)},
    optional={
        "priority": st.integers(0, 9),
        "delay": st.just(3600),
        "unique_key": st.sampled_from(KEYS),
    },
)


class Machine(RuleBasedStateMachine):
    """Few rules, each with several ways: Hypothesis leaves some rules out of each run."""

    place: ClassVar[Place]

    def __init__(self) -> None:
        super().__init__()
        self.place.clear()
        self.world = World(cap=CAP)
        self.queue: dict[int, str] = {}
        self.paused: set[str] = set()
        self.receipts: list[tuple[int, int, int]] = []  # job, token, attempt: good or not
        self.workers = [self.place.fleet.register() for _ in range(2)]
        self.gone: list[int] = []
        self.world.workers = dict.fromkeys(self.workers, False)
        self.before: dict[int, Job] = {}
        self.revived: int | None = None  # by an operator, in this step

    def teardown(self) -> None:
        self.agree_on_counts()

    @property
    def fleet(self) -> Fleet:
        return self.place.fleet

    def pick(self, n: int, *states: str) -> int:
        """A job of these states; now and then of any."""
        names = (self.world.names(*states) if n % 5 else []) or list(self.world.jobs)
        return names[n % len(names)]

    def pick_receipt(self, n: int) -> tuple[int, int, int]:
        """A good one; now and then one that went bad, of a job that runs again if there is one."""
        good = [each for each in self.receipts if self.world.held(*each[:2])]
        bad = [each for each in self.receipts if each not in good]
        again = [each for each in bad if self.world.jobs[each[0]].state == "running"]
        wanted = (good if n % 4 else again or bad) or self.receipts
        return wanted[n % len(wanted)]

    # -- producers

    @initialize(many=st.lists(OPTIONS, min_size=2, max_size=6), paused=st.sampled_from(STARTS))
    def begin(self, many: list[dict[str, Any]], paused: list[str]) -> None:
        self.in_transaction(many, commit=True)
        for queue in paused:
            self.pause_or_resume(queue, resume=False)

    @precondition(lambda self: len(self.world.names(*LIVE)) < MOST_LIVE)
    @rule(options=OPTIONS)
    def enqueue(self, options: dict[str, Any]) -> None:
        self.entered([options], [self.place.work.using(**options).enqueue(1)])

    @precondition(lambda self: len(self.world.names(*LIVE)) < MOST_LIVE)
    @rule(many=st.lists(OPTIONS, min_size=1, max_size=4), commit=st.booleans())
    def enqueue_in_transaction(self, many: list[dict[str, Any]], commit: bool) -> None:
        self.in_transaction(many, commit=commit)

    def in_transaction(self, many: list[dict[str, Any]], *, commit: bool) -> None:
        jobs = [self.place.work.using(**options).job(n) for n, options in enumerate(many)]
        with psycopg.connect(self.place.dsn, application_name="test producer") as connection:
            answers = self.place.app.enqueue_many(jobs, connection=connection)
            if not commit:
                connection.rollback()
        if commit:
            self.entered(many, answers)

    def entered(self, jobs: list[dict[str, Any]], answers: list[Any]) -> None:
        for options, said in zip(jobs, answers, strict=True):
            owner, duplicate, state = self.world.enqueue(
                said.id, options.get("unique_key"), later="delay" in options
            )
            assert (said.id, said.duplicate, said.state) == (owner, duplicate, state)
            if not duplicate:
                self.queue[said.id] = options["queue"]

    # -- workers

    @precondition(lambda self: self.world.names("pending"))
    @rule(n=N, limit=st.integers(1, 4))
    def claim(self, n: int, limit: int) -> None:
        """Now and then of a worker that was rescued and does not know it; or the answer is lost."""
        worker = self.gone[-1] if self.gone and n % 10 == 0 else self.workers[n % 2]
        self.claimed(worker, limit, lost=n % 10 == 1)

    def claimed(self, worker: int, limit: int, *, lost: bool = False) -> None:
        token, rows = self.fleet.claim(worker, limit)
        ready = [i for i in self.world.names("pending") if self.queue[i] not in self.paused]
        assert len(rows) == min(limit, len(ready))
        if lost:
            assert self.fleet.give_up_claim(worker, token) == len(rows)
            return
        for row in rows:
            assert row["id"] in ready
            assert self.world.claim(row["id"], worker, token)
            assert row["attempt"] == self.world.jobs[row["id"]].attempt
            assert (row["refused"] == "cancelled") == self.world.jobs[row["id"]].asked
            self.receipts.append((row["id"], token, row["attempt"]))

    @precondition(lambda self: self.receipts)
    @rule(n=N, end=ENDS)
    def write(self, n: int, end: Outcome | Exception) -> None:
        self.wrote(self.pick_receipt(n), end)

    @precondition(lambda self: self.world.names("pending"))
    @rule(n=N, ends=st.lists(ENDS, min_size=1, max_size=3))
    def work(self, n: int, ends: list[Outcome | Exception]) -> None:
        """Claim, and write at once."""
        known = len(self.receipts)
        self.claimed(self.workers[n % 2], len(ends))
        for receipt, end in zip(self.receipts[known:], ends, strict=False):
            self.tables_are_as_the_model_has_it()
            self.wrote(receipt, end)

    def wrote(self, receipt: tuple[int, int, int], end: Outcome | Exception) -> None:
        """What an attempt came to, as the worker's completer writes it."""
        job_id, token, attempt = receipt
        job, held = self.world.jobs[job_id], self.world.held(job_id, token)
        outcome = end if not isinstance(end, Exception) else decide(
            end, describe(end), attempt=attempt, crash_count=job.crashes,
            max_attempts=MAX_ATTEMPTS, policy=Backoff(base=60.0),
        )  # fmt: skip
        match outcome:
            case RetryAt() | Snoozed():
                failed = isinstance(outcome, RetryAt)
                self.world.release(job_id, token, failed=failed, later=True)
            case Released():
                self.world.release(job_id, token, failed=False, later=False)
            case Dead():
                self.world.bury(job_id, token)
            case Done():
                self.world.finish(job_id, token, "completed")
            case Cancelled():
                pass
        if isinstance(outcome, Cancelled) or job.asked:
            self.world.finish(job_id, token, "cancelled")
        assert self.fleet.write(job_id, token, outcome, attempt) is held

    @precondition(lambda self: self.receipts)
    @rule(n=N)
    def quarantine(self, n: int) -> None:
        """A job that crashed before is marked as the one to blame."""
        job_id, token, _ = self.pick_receipt(n)
        self.quarantined(job_id, token)

    def quarantined(self, job_id: int, token: Any) -> None:
        held = self.world.held(job_id, token)
        assert self.fleet.quarantine(job_id, token) is held
        if held:
            self.world.change(job_id, quarantined=True)

    # -- operators

    @rule(n=N, what=st.sampled_from(["cancel", "retry", "retry", "redrive", "pause"]))
    def operate(self, n: int, what: str) -> None:
        match what:
            case "cancel":
                self.cancel(n)
            case "retry" | "redrive":
                self.retry(n, redrive=what == "redrive")
            case _:
                queue = QUEUES[n % 2]
                # Now and then what has been done already.
                self.pause_or_resume(queue, resume=(queue in self.paused) is (n % 5 > 0))

    def cancel(self, n: int) -> None:
        job_id = self.pick(n, *LIVE)
        state, said = self.world.jobs[job_id].state, self.world.cancel(job_id)
        (result,) = self.place.app.cancel(job_id)
        if said is None:
            assert (result.state, result.changed) == (state, False)
        else:
            running, asked_before = said
            assert result.state == ("requested" if running else "cancelled")
            assert result.changed is not asked_before

    def retry(self, n: int, *, redrive: bool) -> None:
        states = ("dead",) if redrive else ("dead", "cancelled", "scheduled")
        job_id = self.pick(n, *states)
        changed = self.world.make_ready(job_id, *states)
        if redrive:
            (result,) = self.place.app.redrive(job_id).jobs
        else:
            (result,) = self.place.app.retry(job_id)
        assert (result.changed, result.state) == (changed, self.world.jobs[job_id].state)
        self.revived = job_id if changed else None

    def pause_or_resume(self, queue: str, *, resume: bool) -> None:
        if resume:
            assert self.place.app.resume(queue) is (queue in self.paused)
            self.paused -= {queue}
        else:
            assert self.place.app.pause(queue) is (queue not in self.paused)
            self.paused |= {queue}

    # -- time, and death

    @precondition(lambda self: self.world.names("scheduled"))
    @rule(n=N, promote=st.booleans())
    def time_comes(self, n: int, promote: bool) -> None:
        names = self.world.names("scheduled")
        name = names[n % len(names)]
        self.fleet.sql("update @.job set run_at = now() - interval '1 s' where id = $1", name)
        self.world.change(name, due=True)
        if promote:
            promoted = [each for each in names if self.world.promote(each)]
            assert self.fleet.promote() == len(promoted)

    @rule(n=N, what=st.sampled_from(FATES))
    def live_or_die(self, n: int, what: str) -> None:
        match what:
            case "heartbeat":
                self.heartbeat(n)
            case "orphans":
                self.rescue_orphans()
            case "crash":
                self.crash(n)
            case _:
                self.die(n, late=what != "rescue", rescue=what != "late")

    def crash(self, n: int) -> None:
        """A worker dies of one of its jobs, that it had marked; others had just been claimed."""
        self.claimed(self.workers[n % 2], 2)
        self.tables_are_as_the_model_has_it()
        jobs = ((name, self.world.jobs[name]) for name in self.world.names("running"))
        held = [(name, job.token) for name, job in jobs if job.worker == self.workers[n % 2]]
        if held:
            self.quarantined(*held[n % len(held)])
        self.die(n, late=True, rescue=True)

    def heartbeat(self, n: int) -> None:
        worker = [*self.workers, *self.gone][n % len([*self.workers, *self.gone])]
        alive, cancelled = self.fleet.renew(worker)
        assert alive is (worker in self.world.workers)
        running = {name: self.world.jobs[name] for name in self.world.names("running")}
        assert cancelled == {i for i, job in running.items() if job.worker == worker and job.asked}
        if alive:
            self.world.workers[worker] = False

    def die(self, n: int, *, late: bool, rescue: bool) -> None:
        """Its lease runs out; or it is looked at by a rescue, which asks again whether it has."""
        worker = self.workers[n % 2]
        if late:
            self.fleet.sql(
                "update @.worker set heartbeat_at = now() - interval '1 h' where id = $1", worker
            )
            self.world.workers[worker] = True
        if rescue:
            self.fleet.rescue(worker)
        if rescue and self.world.workers[worker]:
            self.world.rescue(worker)
            self.gone.append(worker)
            self.workers[n % 2] = self.fleet.register()
            self.world.workers[self.workers[n % 2]] = False

    def rescue_orphans(self) -> None:
        holders = {self.world.jobs[name].worker for name in self.world.names("running")}
        orphans = self.fleet.orphans()
        assert orphans == holders - self.world.workers.keys()
        for worker in orphans:
            self.fleet.rescue(worker, orphaned=True)
            self.world.rescue(worker, blame=False)

    # -- what must hold

    @invariant()
    def tables_are_as_the_model_has_it(self) -> None:
        seen = self.place.look()
        assert seen.keys() == self.world.jobs.keys()
        # Whether its place is old or new is not followed here.
        now = {n: replace(job, place=self.world.jobs[n].place) for n, job in seen.items()}
        assert now == self.world.jobs
        self.check_moves(now)
        live = [job.key for job in now.values() if job.state in LIVE and job.key]
        assert len(live) == len(set(live))
        self.before, self.revived = now, None

    def check_moves(self, now: dict[int, Job]) -> None:
        """Without the model: what the tables alone say of this step."""
        for name, was in self.before.items():
            job = now[name]
            if was.state != job.state:
                assert JobState(job.state) in MOVES[JobState(was.state)]
                self.place.seen[was.state, job.state] += 1
            if JobState(was.state).is_final and name != self.revived:
                assert job == was, "a terminal job has changed"
            if name != self.revived:
                assert job.attempt - was.attempt in (-1, 0, 1)
                assert job.attempt <= MAX_ATTEMPTS + job.crashes
            if was.token is not None and job.token != was.token:
                assert job.token is None, "two live claims"

    def agree_on_counts(self) -> None:
        """What the app counts adds up to what was enqueued."""
        counts = self.place.app.status().jobs
        model = Counter(job.state for job in self.world.jobs.values())
        assert {state: counts[state] for state in model} == dict(model)
        assert sum(counts.values()) == len(self.world.jobs)
