"""Defects of the worker's machines and of the client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

from chaos.mutants.patch import replace_method

__all__ = [
    "batch_dropped",
    "busy_unsaid",
    "cancel_lost",
    "client_clock",
    "completed_early",
    "effect_outside",
    "heartbeat_on_loop",
    "no_ladder",
    "no_relisten",
    "no_rescue",
    "release_lost",
    "stragglers_passed",
    "token_reused",
    "tokens_returned",
    "unique_ignored",
    "unknown_as_failed",
    "waiting_blamed",
    "wake_up_lost",
]


async def _for_ever(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


async def _nothing(*_: object, **__: object) -> None:
    return


def stragglers_passed() -> None:
    """What is committed behind a cursor is not looked for."""
    from pgqueue.worker.claim.cursor import Cursors
    from pgqueue.worker.fleet.stragglers import Stragglers

    replace_method(Cursors, "lagging", lambda _: lambda self, queues, now, age: self.heads(queues))
    replace_method(Stragglers, "step", lambda _: _for_ever)


def wake_up_lost() -> None:
    """Notifications are not heeded, and nobody polls."""
    from pgqueue.worker.claim.looks import Looks
    from pgqueue.worker.machines import Machines

    async def no_poll(self: Any, _room: int) -> None:
        self._plan.poll_at = time.monotonic() + 3600.0

    replace_method(Machines, "hear", lambda _: lambda self, *said: None)
    replace_method(Looks, "poll", lambda _: no_poll)


def no_relisten() -> None:
    """A connection that is made again does not listen."""
    from pgqueue.db.link import Link

    def make(tune: Callable[..., Any]) -> Callable[..., Any]:
        async def once(self: Any, *args: Any) -> None:
            if self.connects == 1:
                await tune(self, *args)

        return once

    replace_method(Link, "_tune", make)


def batch_dropped() -> None:
    """A batch of completions that is refused is forgotten."""
    from pgqueue.db.faults import Contended, Rejected
    from pgqueue.worker.finish.batches import Ended
    from pgqueue.worker.finish.writer import Writer

    def make(write: Callable[..., Any]) -> Callable[..., Any]:
        async def drop(self: Any, batch: Any) -> Any:
            while isinstance(batch, Ended):
                try:
                    return await self._send(batch, uncertain=False)
                except (Rejected, Contended):
                    return None
                except Exception:
                    await asyncio.sleep(0.2)
            return await write(self, batch)

        return drop

    replace_method(Writer, "_write", make)


def no_ladder() -> None:
    """Errors are stored as they are, and a batch that is refused is tried again as a whole."""
    from pgqueue import failure
    from pgqueue.worker.finish.batches import Ended
    from pgqueue.worker.finish.writer import Writer

    def make(write: Callable[..., Any]) -> Callable[..., Any]:
        async def as_a_whole(self: Any, batch: Any) -> Any:
            while not isinstance(batch, Ended):
                try:
                    return await self._send(batch, uncertain=False)
                except Exception:
                    await asyncio.sleep(0.2)
            return await write(self, batch)

        return as_a_whole

    replace_method(failure, "clean", lambda _: lambda text, longest: text[:longest])
    replace_method(Writer, "_write", make)


def client_clock() -> None:
    """A delay is counted on the producer's clock, which is three seconds slow."""
    from pgqueue import task

    def make(join: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def by_our_clock(former: Any, options: Any) -> dict[str, Any]:
            out = join(former, options)
            delay = out.pop("delay", None)
            if delay is not None:
                now = time.time() - 3.0
                out["run_at"] = datetime.fromtimestamp(now + delay, UTC).isoformat()
            return out

        return by_our_clock

    replace_method(task, "with_options", make)


def heartbeat_on_loop() -> None:
    """The lease is renewed only while the loop of the handlers turns."""
    from pgqueue.worker.fleet.heartbeat import Heartbeat

    def make(heartbeat: Callable[..., Any]) -> Callable[..., Any]:
        async def behind_handlers(self: Any) -> None:
            await self._events._side.ask(lambda: None)
            await heartbeat(self)

        return behind_handlers

    replace_method(Heartbeat, "send_once", make)


def unique_ignored() -> None:
    """The unique key does not reach the database."""
    from pgqueue import task

    def make(check: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def without_key(options: Any) -> dict[str, Any]:
            out = check(options)
            out.pop("unique_key", None)
            return out

        return without_key

    replace_method(task, "check_options", make)


def cancel_lost() -> None:
    """A worker takes no notice of cancel requests."""
    from pgqueue.worker.run.runner import Runner

    replace_method(Runner, "cancel", lambda _: lambda self, job_ids, why: None)


def effect_outside() -> None:
    """What is written in job.transaction() is committed by itself, before the completion."""
    from pgqueue.running import RunningJob

    def make(_: Any) -> Callable[..., Any]:
        @contextlib.asynccontextmanager
        async def transaction(self: Any) -> AsyncGenerator[Any]:
            async with self._transactions._pool.connection() as connection:
                yield connection

        return transaction

    replace_method(RunningJob, "transaction", make)


def completed_early() -> None:
    """A job that is no transaction's is completed as its handler begins."""
    from pgqueue.worker.run.attempt import Attempts

    def make(run: Callable[..., Any]) -> Callable[..., Any]:
        async def complete_first(self: Any, slot: Any, record: Any) -> None:
            if record["task"] == "nap":
                self._completer.done(record["id"], slot.token)
            await run(self, slot, record)

        return complete_first

    replace_method(Attempts, "run", make)


def release_lost() -> None:
    """A worker that stops keeps what it has not begun, and takes itself off the list."""
    from pgqueue.worker import stopping

    replace_method(stopping, "_release", lambda _: lambda completer, claimed: None)


def no_rescue() -> None:
    """Nobody releases what a dead worker held."""
    from pgqueue.supervisor.child_rescue import ChildRescue
    from pgqueue.worker.fleet.rescuer import Rescuer

    replace_method(Rescuer, "rescue", lambda _: _nothing)
    replace_method(ChildRescue, "note", lambda _: lambda self, *_, **__: None)


def strays_kept() -> None:
    """A worker keeps what the database says that it holds, whether it knows of that or not."""
    from pgqueue.worker.fleet.holdings import Holdings

    replace_method(Holdings, "compare", lambda _: lambda self, rows, began: None)


def waiting_blamed() -> None:
    """A supervisor does not know which jobs of a process had begun, and blames all of them."""
    from pgqueue.supervisor.process import Process

    replace_method(Process, "begun", lambda _: lambda self: None)


def token_reused() -> None:
    """All claims of a process show the same token."""
    import secrets

    from pgqueue.worker.claim import sender

    token = secrets.randbits(63)

    class _Constant:
        @staticmethod
        def randbits(_: int) -> int:
            return token

    sender.secrets = _Constant  # type: ignore[attr-defined]


def unknown_as_failed() -> None:
    """A connection that is lost in a commit counts as a refusal."""
    from pgqueue.db import pool
    from pgqueue.errors import DatabaseError, OutcomeUnknown

    def make(as_ours: Callable[..., Exception]) -> Callable[..., Exception]:
        def certain(error: Exception, dsn: str, **known: bool) -> Exception:
            ours = as_ours(error, dsn, **known)
            return DatabaseError(str(ours)) if isinstance(ours, OutcomeUnknown) else ours

        return certain

    replace_method(pool, "as_ours", make)


def busy_unsaid() -> None:
    """A worker tells the database that it keeps no permit busy, and goes on with those it had."""
    from pgqueue.worker.limits.limited_queue import Ask, LimitedQueue

    def make(ask: Callable[..., Any]) -> Callable[..., Any]:
        def silent(self: Any, now: float, *, renewed: bool = False) -> Any:
            may = self.may
            asked = ask(self, now, renewed=renewed)
            self.may = may
            return asked and Ask(0, 0, asked.tokens, asked.unused)

        return silent

    def keep(answered: Callable[..., Any]) -> Callable[..., Any]:
        def kept(self: Any, *args: Any, **more: Any) -> None:
            answered(self, *args, **more)
            self.may = self.held = max(self.may, 1)

        return kept

    replace_method(LimitedQueue, "ask", make)
    replace_method(LimitedQueue, "answered", keep)


def tokens_returned() -> None:
    """A token that a job used is given back as well."""
    from pgqueue.worker.limits.tokens import Tokens

    def make(use: Callable[..., None]) -> Callable[..., None]:
        def use_and_return(self: Any) -> None:
            use(self)
            self.unused += 1

        return use_and_return

    replace_method(Tokens, "use", make)
