"""One transaction each, in the product's own statements; what is answered, by the job's id."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.db.hands import LOST, Hands
from tests.model.model import CAP

__all__ = ["EVER", "NAMES", "OPERATORS", "SCRIPTS", "Hand"]

ERROR = json.dumps({"type": "ValueError", "message": "no", "worker": "w", "traceback": ""})
EVER = datetime(1, 1, 2, tzinfo=UTC)
KEPT = 20


@dataclass
class Hand:
    """A session at work. ``ids``: the jobs it names; ``units``: their queues and keys."""

    hands: Hands
    ids: list[int]
    units: list[str]
    worker: int  # the one that holds jobs with the token T
    token: int  # T
    other: bool  # goes past the lock of a claim; enqueues against the order of the keys
    at_least: int = 1  # documents that an enqueue has: few and many are enqueued in two ways
    answers: dict[Any, Any] = field(
        default_factory=dict[Any, Any]
    )  # by id; id and unit; unit; or "W"
    made: dict[int, str] = field(default_factory=dict[int, str])  # new jobs, with their unit
    lost: bool = False

    async def run(self, name: str, *args: Any) -> list[Any]:
        return await self.hands.run(name, *args)

    @property
    def receipts(self) -> tuple[list[int], list[int]]:
        return self.ids, [self.token] * len(self.ids)

    async def claim(self) -> None:
        self.hands.token = secrets.randbits(62)
        n = len(self.units)
        rows = await self.run(
            "claim_jobs", self.units, [100] * n, [0] * 10 * n, ["t"], 100, self.hands.id,
            self.hands.token, self.other, 2**31 - 1,
        )  # fmt: skip
        self.answers |= {(row["id"], row["queue"]): row["attempt"] for row in rows if row["id"]}

    async def renew(self) -> None:
        (row,) = await self.run(
            "renew_lease", self.worker, 1, False, None, None, True, 60.0, EVER, 0, 15, True, True
        )
        self.answers["W"] = row["alive"]
        if row["alive"]:
            self.answers |= dict.fromkeys(row["cancelled"], "asked")

    async def finish(self) -> None:
        good = (await self.run("finish_jobs", *self.receipts, "completed"))[0][0]
        self.answers |= dict.fromkeys(self.ids if good is None else good, True)

    async def fail(self) -> None:
        await self._return(3600.0, 0, ERROR)

    async def release(self) -> None:
        await self._return(None, -1, None)

    async def _return(self, delay: float | None, change: int, error: str | None) -> None:
        n = len(self.ids)
        rows = await self.run(
            "release_jobs", *self.receipts, [delay] * n, [change] * n, [error] * n, KEPT
        )
        self.answers |= {row["id"]: "written" for row in rows}

    async def bury(self) -> None:
        n = len(self.ids)
        rows = await self.run("bury_jobs", *self.receipts, ["it failed"] * n, [ERROR] * n, KEPT)
        self.answers |= {row["id"]: "written" for row in rows}

    async def finish_refused(self) -> None:
        """As the completer does: what is refused was asked to stop, or its lease is lost."""
        left = [job_id for job_id in self.ids if job_id not in self.answers]
        if left:
            rows = await self.run("finish_jobs", left, [self.token] * len(left), "cancelled")
            good = left if rows[0][0] is None else rows[0][0]
            self.answers |= dict.fromkeys(good, "cancelled")

    async def lock_lost(self) -> None:
        self.lost = bool(await self.run("lock_lost_worker", [self.worker], False))

    async def rescue(self) -> None:
        if self.lost:
            await self.run("read_all_rows")
            rows = await self.run(
                "rescue_jobs", [self.worker], CAP, KEPT, [LOST], None, None, True, []
            )
            self.answers |= {row["id"]: row["fate"] for row in rows}

    async def remove(self) -> None:
        if self.lost:
            await self.run("remove_worker", [self.worker])

    async def cancel(self) -> None:
        for row in await self.run("cancel_jobs", self.ids):
            self.answers[row["id"]] = (row["running"], row["asked_before"])

    async def _ready(self, name: str) -> None:
        left = [job_id for job_id in self.ids if job_id not in self.answers]
        self.answers |= {row["id"]: True for row in await self.run(name, left)}

    async def ready(self) -> None:
        await self._ready("ready_jobs")

    async def redrive(self) -> None:
        await self._ready("redrive_jobs")

    async def revive(self) -> None:
        await self._ready("revive_jobs")

    async def promote(self) -> None:
        for row in await self.run("promote_jobs", 100, EVER):
            self.answers[row["queue"]] = True

    async def enqueue(self) -> None:
        await self._enqueue({}, self.hands.enqueue)

    async def replace(self) -> None:
        """It changes nothing that the model knows of, and locks the jobs that wait."""
        await self._enqueue({"unique": {"replace": ["tags"]}}, self.hands.enqueue_unique)

    async def _enqueue(
        self, mode: dict[str, Any], send: Callable[..., Awaitable[list[Any]]]
    ) -> None:
        units = self.units[::-1] if self.other else self.units
        jobs = [{"task": "t", "queue": unit, "unique_key": unit, **mode} for unit in units]
        jobs *= -(-self.at_least // len(jobs))
        rows = await send(*jobs)
        for unit, row in zip(units, rows, strict=False):
            self.answers[row["id"], unit] = (row["duplicate"], row["state"])
            if not row["duplicate"]:
                self.made[row["id"]] = unit
        first = [row["id"] for row in rows[: len(units)]]
        assert [row["id"] for row in rows] == first * (len(jobs) // len(units))

    async def make_history(self) -> None:
        if await self.run("take_duty", "history", 3600.0):
            await self.run("ensure_history")

    async def drop_history(self) -> None:
        if await self.run("take_duty", "retention", 3600.0):
            await self.run("drop_history", 30 * 86400.0, None)


Step = Callable[[Hand], Awaitable[None]]
SCRIPTS: dict[str, tuple[Step, ...]] = {
    "claim": (Hand.claim,),
    "heartbeat": (Hand.renew,),
    "complete": (Hand.finish,),
    "fail": (Hand.fail, Hand.finish_refused),
    "bury": (Hand.bury, Hand.finish_refused),
    "release": (Hand.release, Hand.finish_refused),
    "rescue": (Hand.lock_lost, Hand.rescue, Hand.remove),
    "cancel": (Hand.cancel,),
    "ready": (Hand.ready,),
    "redrive": (Hand.redrive,),
    "revive": (Hand.revive,),
    "promote": (Hand.promote,),
    "enqueue": (Hand.enqueue,),
    "replace": (Hand.replace,),
    "history": (Hand.make_history,),
    "retention": (Hand.drop_history,),
}
# These run within the bounds of an operator's transaction. A retry is up to three of them.
OPERATORS = ("cancel", "ready", "redrive", "revive")
NAMES = tuple(SCRIPTS)
