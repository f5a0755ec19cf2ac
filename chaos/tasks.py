"""The app that the campaign's workers serve, and its producers enqueue for.

Each task notes its start and its end in the history of its process. ``k`` is the key that the
producer gave the job: with it, an enqueue whose outcome is unknown is found again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
import threading
import time
from types import TracebackType
from typing import Any

import asyncpg

import pgqueue
from chaos import mutants
from chaos.history import History
from pgqueue import RunningJob, current_job

__all__ = ["CODE", "app", "history"]

CONFIG: dict[str, Any] = json.loads(os.environ.get("CHAOS_CONFIG", "{}"))
EXIT_CODE = 77

mutants.apply(os.environ.get("CHAOS_MUTANT"))

POOLED = "CHAOS_PGBOUNCER" in os.environ
"""Sessions are a pooler's: nothing may be prepared by name."""

app = pgqueue.App(pool_size=10, pgbouncer=POOLED)
history = History(CONFIG.get("home", "/tmp"), CONFIG.get("role", "worker")) if CONFIG else None
_POLICY = pgqueue.Backoff(base=0.2, factor=1.5, cap=3.0)


class noted:  # noqa: N801
    """Notes the start of a job and how it ended."""

    __slots__ = ("_job", "_key", "_kind", "outcome")

    def __init__(self, job: RunningJob, kind: str, key: int) -> None:
        self._job, self._kind, self._key = job, kind, key
        self.outcome: str | None = None

    def __enter__(self) -> noted:
        _vitals.begin()
        job = self._job
        _write(f="start", j=job.id, c=job.token, a=job.attempt, k=self._key, n=self._kind)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _write(f="end", j=self._job.id, c=self._job.token, r=self.outcome or _outcome(kind))


def _outcome(kind: type[BaseException] | None) -> str:
    if kind is None:
        return "ok"
    for base, word in (
        (asyncio.CancelledError, "cancelled"),
        (pgqueue.LeaseLost, "lost"),
        (pgqueue.Snooze, "snooze"),
        (Exception, "fail"),
    ):
        if issubclass(kind, base):
            return word
    return "odd"


def _write(**fields: Any) -> None:
    if history is not None:
        history.write(**fields)


@app.task(queue="main", retry=_POLICY)
async def noop(k: int) -> None:
    job = current_job()
    with noted(job, "noop", k):
        pass


@app.task(queue="main", retry=_POLICY)
async def effect(k: int, pause: float = 0.0) -> None:
    """Write in the transaction that completes the job."""
    job = current_job()
    with noted(job, "effect", k) as note:
        async with job.transaction() as tx:
            await tx.execute(
                "insert into chaos.effect_tx (job, token) values ($1, $2)", job.id, job.token
            )
            if pause:
                await asyncio.sleep(pause)
        note.outcome = "tx"


@app.task(queue="side", retry=_POLICY)
async def nap(k: int, seconds: float) -> None:
    """Wait, and write outside of any transaction before and after."""
    job = current_job()
    with noted(job, "nap", k):
        await _outside.write(job)
        await asyncio.sleep(seconds)
        await _outside.write(job)


@app.task(queue="main", retry=_POLICY)
async def flaky(k: int, fails: int) -> None:
    job = current_job()
    with noted(job, "flaky", k):
        if job.attempt - job.crash_count <= fails:
            raise RuntimeError("it fails at first")


@app.task(queue="main", retry=_POLICY)
async def once(k: int, u: str) -> None:
    """Live alone with its unique key, which is ``u``, for a moment."""
    job = current_job()
    assert u
    with noted(job, "once", k):
        await asyncio.sleep(0.02)


@app.task(queue="side", retry=_POLICY)
async def tick(k: int) -> None:
    """The job of a slot; ``k`` is its schedule's, and negative."""
    job = current_job()
    with noted(job, "tick", k):
        pass


@app.task(
    queue="main",
    retry=_POLICY,
    flow=pgqueue.Flow("crowd", key="g", concurrency=12, key_concurrency=2),
)
async def crowd(k: int, g: str, seconds: float, fails: bool) -> None:
    """Take one of the slots of the flow and of its key ``g``."""
    job = current_job()
    assert g
    with noted(job, "crowd", k):
        await asyncio.sleep(seconds)
        if fails and job.attempt - job.crash_count <= 1:
            raise RuntimeError("it fails at first")


@app.task(
    queue="side",
    retry=_POLICY,
    flow=pgqueue.Flow("ledger", key="g", ordered=True, on_dead="skip"),
)
async def ledger(k: int, g: str, fails: bool) -> None:
    """Run after all that was enqueued before with ``g``, also where it fails at first."""
    job = current_job()
    assert g
    with noted(job, "ledger", k):
        if fails and job.attempt - job.crash_count <= 1:
            raise RuntimeError("it fails at first")


app.queue("narrow", concurrency=2)
app.queue("paced", rate="20/s", burst=5)


@app.task(queue="narrow", retry=_POLICY)
async def narrow(k: int, seconds: float) -> None:
    """Take one of the permits of its queue."""
    job = current_job()
    with noted(job, "narrow", k):
        await asyncio.sleep(seconds)


@app.task(queue="paced", retry=_POLICY)
async def paced(k: int) -> None:
    """Take a token of the rate of its queue."""
    job = current_job()
    with noted(job, "paced", k):
        pass


CODE = ("code", "code with a function")
"""The schedules that the code of workers declares, in a run that has schedules."""

if CONFIG.get("schedules"):
    app.schedule(CODE[0], "tick", cron="*/2 * * * * *", misfire="all", args={"k": -91})
    app.schedule(CODE[1], "tick", every=3, args=lambda _: {"k": -92})


@app.task(queue="side", retry=_POLICY)
async def later(k: int) -> None:
    job = current_job()
    with noted(job, "later", k):
        pass


@app.task(queue="side", retry=_POLICY)
async def doomed(k: int, seconds: float) -> None:
    """To be cancelled before it runs, or while it does."""
    job = current_job()
    with noted(job, "doomed", k):
        await asyncio.sleep(seconds)


@app.task(queue="side", retry=_POLICY)
async def block(k: int, seconds: float) -> None:
    """Hold up the loop, as blocking code in an async task does."""
    job = current_job()
    with noted(job, "block", k):
        time.sleep(seconds)


@app.task(queue="side", retry=_POLICY)
def thread(k: int, seconds: float) -> None:
    job = current_job()
    with noted(job, "thread", k):
        time.sleep(seconds)


@app.task(queue="side", retry=_POLICY)
async def snooze(k: int) -> None:
    job = current_job()
    with noted(job, "snooze", k):
        if random.random() < 0.5:
            raise pgqueue.Snooze(0.3)


class _Unspeakable(Exception):
    """An error that cannot be looked at."""

    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__


class _Base(BaseException):
    """What ``except Exception`` lets through."""


_TEXTS = ("a\x00b", "\ud800", "x" * 100_000, "\u202e" * 50, "'; drop table job; --")


@app.task(queue="main", retry=_POLICY)
async def poison(k: int, which: int) -> None:
    """Fail once, with an error that is hard to store."""
    job = current_job()
    with noted(job, "poison", k):
        if job.attempt - job.crash_count <= 1:
            if which >= len(_TEXTS):
                raise _Unspeakable
            raise RuntimeError(_TEXTS[which])


@app.task(queue="side", retry=_POLICY)
async def odd(k: int, which: int) -> None:
    """Fail once, with what is no ordinary error."""
    job = current_job()
    with noted(job, "odd", k) as note:
        if job.attempt - job.crash_count <= 1:
            note.outcome = "odd"
            raise (
                SystemExit(9),
                KeyboardInterrupt(),
                asyncio.CancelledError(),
                _Base(),
                GeneratorExit(),
            )[which % 5]


@app.task(name="exit", queue="side", retry=_POLICY)
async def leave(k: int) -> None:
    """End the process, each time."""
    job = current_job()
    with noted(job, "exit", k):
        _write(f="exit", j=job.id, c=job.token)
        os._exit(EXIT_CODE)


@app.task(queue="ordered", retry=_POLICY)
async def ordered(k: int) -> None:
    job = current_job()
    with noted(job, "ordered", k):
        pass


class _Outside:
    """A connection of our own, for what handlers do besides; one for all of them."""

    def __init__(self) -> None:
        self._connection: asyncpg.Connection | None = None
        self._lock: asyncio.Lock | None = None

    async def write(self, job: RunningJob) -> None:
        """Commit a row; where that fails, the job does not."""
        self._lock = self._lock or asyncio.Lock()
        try:
            async with self._lock, asyncio.timeout(2.0):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        app.pool.dsn,
                        statement_cache_size=0 if POOLED else 100,
                        server_settings={"application_name": "chaos outside"},
                    )
                await self._connection.execute(
                    "insert into chaos.effect_ext (job, token) values ($1, $2)", job.id, job.token
                )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if self._connection is not None:
                self._connection.terminate()
            self._connection = None


class _Vitals:
    """Counts what a process holds, once a second, from its first job on."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        if self._loop is None and history is not None:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            threading.Thread(target=self._run, name="chaos-vitals", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(1.0)
            try:
                tasks = len(asyncio.all_tasks(self._loop))
                files = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
            except (RuntimeError, OSError):  # a fault leaves the process no descriptor to look with
                continue
            _write(
                f="vitals",
                slots=CONFIG["settings"].get("concurrency", 0),
                threads=threading.active_count(),
                tasks=tasks,
                files=files,
            )


_vitals = _Vitals()
_outside = _Outside()


class _Words(logging.Handler):
    """Notes what the worker says of its lease, of its loop and of outcomes it dropped."""

    _TOLD = ("lease was lost", "has been blocked", "stood still", "this worker's any more")

    def emit(self, record: logging.LogRecord) -> None:
        text = record.msg if isinstance(record.msg, str) else ""
        if any(told in text for told in self._TOLD):
            _write(f="log", m=text[:60], j=getattr(record, "job_id", None))


if history is not None:
    logging.getLogger("pgqueue.worker").addHandler(_Words(logging.WARNING))
