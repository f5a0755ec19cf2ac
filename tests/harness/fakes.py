"""What machines of a worker have beside them, made up: a store without a server, a runner, a view.

Each answers as a server that has nothing to do does. A test names what is to be different.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from pgqueue.config import WorkerSettings
from pgqueue.db.listener import Listener
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.events import ClaimEvent
from pgqueue.worker.lease import Lease
from pgqueue.worker.receipt import Entry

__all__ = ["FakeStore", "Returned", "Room", "Said", "claimer_of", "view"]

E = TypeVar("E")

RENEWED: dict[str, Any] = {
    "alive": True, "before": 0, "workers": 1, "alike": 1, "server": "monday", "cancelled": [],
    "next_due": None, "next_slot": None, "age": 0.0, "expired": [], "vanished": [],
    "has_flows": False, "slots": None, "limits": None, "dead_rows": None,
}  # fmt: skip


def view(**others: Any) -> Any:
    """What the heartbeat thread reads of a worker with two queues that runs nothing."""
    at_rest: dict[str, Any] = {"running": 0, "takes_jobs": True, "due_since": None}
    at_rest["allowed_slots"] = None
    return SimpleNamespace(
        **{**at_rest, "cursors": lambda: [0] * 20, "successes": set[tuple[int, int]], **others}
    )


class Said(list[E]):
    """What a machine says, in its order."""

    def send(self, event: E) -> None:
        self.append(event)


class FakeStore:
    """The statements of a worker. ``sent``: their names, in their order.

    ``answers``: what a statement answers, or raises, in place of nothing; the last one stays.
    """

    def __init__(self, **answers: list[Any]) -> None:
        self.link = SimpleNamespace(
            connects=1,
            connected=True,
            transact=self._transact,
            listen=self._listen,
            cut=None,
            keeps_settings=True,
        )
        self.turn = asyncio.Lock()
        self.schema = "pgqueue"
        self.answers = answers
        self.sent: list[str] = []
        self.args: dict[str, tuple[Any, ...]] = {}

    def count(self, name: str) -> int:
        """How often a statement was sent."""
        return self.sent.count(name)

    async def _answer(self, name: str, otherwise: Any, *args: Any) -> Any:
        await asyncio.sleep(0)
        self.sent.append(name)
        self.args[name] = args
        answers = self.answers.get(name)
        if not answers:
            return otherwise
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _transact(self, work: Callable[[Any], Any], **_: Any) -> Any:
        return await work(None)

    async def _listen(self) -> None:
        await self._answer("listen", None)

    # -- of the claimer and the promoter

    async def claim(self, queues: list[str], *values: Any, **_: Any) -> tuple[list[Any], list[str]]:
        return await self._answer("claim", ([], []), queues, *values)

    async def raise_flags(self, queues: list[str]) -> dict[str, bool]:
        return await self._answer("raise_flags", dict.fromkeys(queues, True), queues)

    async def lower_flags(self, queues: list[str], kind: int | None = None) -> dict[str, bool]:
        return await self._answer("lower_flags", dict.fromkeys(queues, True), queues, kind)

    async def check_ears(self, queues: list[str], *, word: bool) -> tuple[bool, bool, list[str]]:
        return await self._answer("check_ears", (True, word, []), queues)

    async def newest_positions(self, queues: list[str]) -> dict[str, int]:
        return await self._answer("newest_positions", {}, queues)

    async def unknown_tasks(self, *values: Any) -> list[Any]:
        return await self._answer("unknown_tasks", [], *values)

    async def call(self, payload: str) -> None:
        await self._answer("call", None, payload)

    async def next_due(self, since: datetime) -> tuple[float | None, datetime]:
        return await self._answer("next_due", (None, since), since)

    async def promote(self, most: int, since: datetime) -> list[Any]:
        return await self._answer("promote", [], most, since)

    async def wake(self, queues: list[str]) -> None:
        await self._answer("wake", None, queues)

    # -- of the completer

    async def finish(self, ids: list[int], *values: Any) -> None:
        await self._answer("finish", None, ids, *values)

    async def release(self, ids: list[int], *values: Any) -> list[int]:
        return await self._answer("release", ids, ids, *values)

    # -- of the heartbeat thread

    async def own_session(self) -> tuple[int, str]:
        return await self._answer("own_session", (1, "start"))

    async def register(self, *values: Any) -> None:
        await self._answer("register", None, *values)

    async def remove_worker(self, worker: int) -> None:
        await self._answer("remove_worker", None, worker)

    async def renew(self, *values: Any) -> dict[str, Any]:
        return {**RENEWED, **await self._answer("renew", {}, *values)}

    async def find_stragglers(self, *values: Any) -> list[Any]:
        return await self._answer("find_stragglers", [], *values)

    async def held(self, *values: Any) -> list[Any]:
        return await self._answer("held", [], *values)

    async def due_duties(self) -> dict[str, float]:
        return await self._answer("due_duties", {})

    async def take_duty(self, name: str, hold: float) -> bool:
        return await self._answer("take_duty", True, name, hold)

    async def end_duty(self, name: str, every: float) -> None:
        await self._answer("end_duty", None, name, every)

    async def measure_job_table(self) -> dict[str, Any]:
        return await self._answer("measure_job_table", {})

    async def vacuum_jobs(self) -> None:
        await self._answer("vacuum_jobs", None)

    async def next_detach(self, retention: float) -> str | None:
        return await self._answer("next_detach", None, retention)

    async def detach(self, change: str) -> None:
        await self._answer("detach", None, change)

    async def ensure_history(self) -> None:
        await self._answer("ensure_history", None)

    async def drop_history(self, retention: float) -> bool:
        return await self._answer("drop_history", False, retention)

    async def drop_audit(self, most: int) -> int:
        return await self._answer("drop_audit", 0, most)

    async def drop_usage(self, most: int) -> int:
        return await self._answer("drop_usage", 0, most)

    async def forget_keys(self, most: int) -> int:
        return await self._answer("forget_keys", 0, most)

    async def forget_unique(self, most: int) -> int:
        return await self._answer("forget_unique", 0, most)

    async def orphans(self) -> list[int]:
        return await self._answer("orphans", [])

    async def registered(self, _: Any, workers: Sequence[int]) -> set[int]:
        return await self._answer("registered", set(), workers)

    async def lock_lost(self, _: Any, workers: Sequence[int], *, vanished: bool) -> list[Any]:
        return await self._answer("lock_lost", [], workers, vanished)

    async def rescue(self, _: Any, errors: Mapping[int, str], **how: Any) -> list[Any]:
        return await self._answer("rescue", [], errors, how)

    async def rewind(self, queues: Sequence[str], positions: Sequence[int]) -> None:
        await self._answer("rewind", None, queues, positions)


class Room:
    """A runner that has room for all that comes, and is done with it at once."""

    free, running, buffered, waits, finished, passed_on = 5, 0, 0, False, 0, 0
    threads = None

    def __init__(self) -> None:
        self.jobs: list[int] = []
        self.has_room = asyncio.Event()

    def busy_seconds(self, now: float) -> float:
        return now

    def tell_when(self, buffered_at_most: int) -> None: ...

    def add(self, records: list[Any], token: int) -> None:
        self.jobs += [record["id"] for record in records]

    def take_surplus(self, keep: int) -> list[Any]:
        return []

    def receipts(self) -> set[tuple[int, int]]:
        return set()


class Returned:
    """A completer that is never full."""

    is_full = False

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @property
    def ids(self) -> list[int]:
        return [entry.id for entry in self.entries]

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)

    def receipts(self) -> set[tuple[int, int]]:
        return set()


def claimer_of(store: Any, room: Any, returned: Any, **settings: Any) -> Claimer:
    """A claimer of two queues, under a lease that never ends."""
    lease = Lease()
    lease.hold(0.0, float("inf"))
    nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731
    return Claimer(
        store, listener=Listener("", nothing), queues=["a", "b"],
        tasks=["t"], settings=WorkerSettings.of(settings), lease=lease, runner=room,
        completer=returned,
        holdings=cast("Any", SimpleNamespace(begin=nothing, end=nothing, lose=nothing)),
        membership=cast("Any", SimpleNamespace(worker_id=1)), events=Said[ClaimEvent](),
    )  # fmt: skip
