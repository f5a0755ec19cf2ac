"""A fleet in simulated time: real claimers, on a table, a server and workers that are made up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from pgqueue.config import WorkerSettings
from pgqueue.db.listener import Listener
from pgqueue.worker.claim.claimer import Claimer
from pgqueue.worker.events import ClaimEvent, FlagsTold, HeartbeatWanted
from pgqueue.worker.lease import heartbeat_every
from pgqueue.worker.seat import WATCH, kind_of, load_of, seats

__all__ = ["Fleet", "Server"]

QUEUE = "default"
SENT, CLAIM, OTHER, DELIVERY = 0.0002, 0.0005, 0.0003, 0.0003
HEARTBEAT, FORGOTTEN = 2.0, 7.5


@dataclass(eq=False)
class Job:
    position: int
    enqueued: float
    seconds: float
    task: str = "task"
    begun: float | None = None


class Server:
    """One queue: its table, its flag, its turn, and who listens."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.loop = asyncio.get_running_loop()
        self.ready: list[Job] = []
        self.jobs: list[Job] = []
        self.flag = False
        self.claimed_by: object = None
        self.listeners: dict[object, tuple[frozenset[str], Callable[[str], None]]] = {}
        self.kinds: set[int] = set()  # those that serve the queue
        self.loses = 0.0  # what part of notifications is lost
        self.counts: Counter[str] = Counter()

    def enqueue(
        self,
        seconds: float = 0.0,
        *,
        commits_after: float = 0.0,
        times: int = 1,
        task: str = "task",
    ) -> None:
        """Jobs that take ``seconds``. The flag is read now, the rest happens at the commit."""
        jobs = [
            Job(len(self.jobs) + n + 1, self.loop.time() + commits_after, seconds, task)
            for n in range(times)
        ]
        self.jobs += jobs
        flag = self.flag
        if commits_after:
            self.loop.call_later(commits_after, self._commit, jobs, flag)
        else:
            self._commit(jobs, flag)

    def _commit(self, jobs: list[Job], flag: bool) -> None:
        self.ready += jobs
        self.ready.sort(key=lambda job: job.position)
        if flag:
            self.notify(f"q:{QUEUE}")

    def notify(self, payload: str, *, calls: bool = False, own: object = None) -> None:
        """``own``: who sends it, and hears it before the answer to the statement that sends it."""
        self.counts["notify"] += 1
        for channel in ("", "_call") if calls else ("",):
            for listener, (channels, hear) in list(self.listeners.items()):
                if channel in channels and listener is own:
                    hear(payload)
                elif channel in channels and self.rng.random() >= self.loses:
                    self.counts["heard"] += 1
                    self.loop.call_later(DELIVERY, self._deliver, listener, hear, payload)

    def _deliver(self, listener: object, hear: Callable[[str], None], payload: str) -> None:
        if listener in self.listeners:
            hear(payload)


class Store:
    """What a claimer asks the server."""

    def __init__(self, server: Server, worker: Worker) -> None:
        self.server, self.worker = server, worker
        self.turn = asyncio.Lock()
        self.link = SimpleNamespace(listen=self._listen, abort=lambda: None, cut=lambda: None)

    async def _listen(self) -> None:
        await self._takes("listen")
        self.server.listeners[self.worker] = (
            self.worker.listener.wanted,
            self.worker.on_notify,
        )

    async def _takes(self, what: str, seconds: float = OTHER) -> None:
        self.server.counts[what] += 1
        await asyncio.sleep(seconds)

    async def claim(
        self,
        names: Sequence[str],
        quotas: Sequence[int],
        cursors: Sequence[int],
        tasks: Sequence[str],
        limit: int,
        *_: object,
        bypass: bool,
        **__: object,
    ) -> tuple[list[Any], list[str]]:
        server = self.server
        await self._takes("claim", SENT)
        if server.claimed_by is not None and not bypass:
            server.counts["busy"] += 1
            await asyncio.sleep(SENT)
            return [], [QUEUE]
        server.claimed_by = self.worker
        try:
            seen = [job for job in server.ready if job.position > cursors[5] and job.task in tasks][
                :limit
            ]
            await asyncio.sleep(CLAIM)
            gone = set(map(id, seen))
            server.ready = [job for job in server.ready if id(job) not in gone]
        finally:
            if server.claimed_by is self.worker:
                server.claimed_by = None
        await asyncio.sleep(SENT)
        server.counts["found"] += bool(seen)
        return [
            {"id": j.position, "position": j.position, "priority": 5, "queue": QUEUE, "job": j}
            for j in seen
        ], []

    async def raise_flags(self, queues: Sequence[str]) -> dict[str, bool]:
        await self._takes("raise")
        was, self.server.flag = self.server.flag, True
        return {QUEUE: not was}

    async def lower_flags(self, queues: Sequence[str], kind: int | None = None) -> dict[str, bool]:
        await self._takes("lower")
        if not self.server.flag:
            return {}
        if kind is not None and self.server.kinds - {kind}:
            return {QUEUE: False}
        self.server.flag = False
        self.server.notify(f"d:{QUEUE}", own=self.worker)
        return {QUEUE: True}

    async def call(self, payload: str) -> None:
        await self._takes("call")
        self.server.notify(payload, calls=True, own=self.worker)

    async def check_ears(
        self, queues: Sequence[str], *, word: bool
    ) -> tuple[bool, bool, list[str]]:
        await self._takes("ears")
        if word:
            self.server.notify("h")
        return True, word, [] if self.server.flag else [QUEUE]

    async def claim_holder(self, queue: str) -> str | None:
        await self._takes("holder")
        return None if self.server.claimed_by is None else str(id(self.server.claimed_by))

    async def unknown_tasks(self, *_: object) -> list[Any]:
        return []


class Runner:
    """Slots, and jobs that take the time that they are given."""

    passed_on = 0
    threads = None

    def __init__(self, concurrency: int, loop: asyncio.AbstractEventLoop) -> None:
        self.concurrency, self.loop = concurrency, loop
        self.running = self.finished = 0
        self.low = 0
        self.busy, self.busy_since = 0.0, 0.0
        self.most_held = 0
        self.waiting: deque[Job] = deque()
        self.has_room = asyncio.Event()

    @property
    def buffered(self) -> int:
        return len(self.waiting)

    @property
    def free(self) -> int:
        return self.concurrency - self.running - len(self.waiting)

    @property
    def waits(self) -> bool:
        return bool(self.waiting)

    def busy_seconds(self, now: float) -> float:
        return self.busy + (now - self.busy_since if self.running else 0.0)

    def tell_when(self, buffered: int) -> None:
        self.low = buffered

    def take_surplus(self, keep: int) -> list[Any]:
        return []

    def add(self, records: Sequence[Any], token: int) -> None:
        if records and not self.running:
            self.busy_since = self.loop.time()
        self.waiting += [record["job"] for record in records]
        self.most_held = max(self.most_held, self.running + len(self.waiting))
        self._begin()

    def _begin(self) -> None:
        while self.waiting and self.running < self.concurrency:
            job = self.waiting.popleft()
            assert job.begun is None, "begun twice"
            job.begun = self.loop.time()
            self.running += 1
            self.loop.call_later(job.seconds, self._end)

    def _end(self) -> None:
        self.running -= 1
        self.finished += 1
        if not self.running and not self.waiting:
            self.busy += self.loop.time() - self.busy_since
        self._begin()
        if len(self.waiting) <= self.low:
            self.has_room.set()


@dataclass(eq=False)
class Worker:
    """A worker of the fleet, with a claimer of pgqueue's own."""

    id: int
    server: Server
    settings: WorkerSettings
    fleet: Fleet = field(repr=False)

    def __post_init__(self) -> None:
        self.listener = Listener("", self.on_notify)
        self.runner = Runner(self.settings.concurrency, self.server.loop)
        # last heartbeat, and what it said: running jobs, whether it takes more
        self.row: tuple[float, int, bool] = (self.server.loop.time(), 0, True)
        self.hurry = asyncio.Event()
        self.dead_at: float | None = None
        self.on_watch = True
        self.notified = False  # enqueuers notify us, or the watch, of what will be due
        self.claimer = Claimer(
            cast("Any", Store(self.server, self)),
            listener=self.listener,
            queues=[QUEUE],
            tasks=self.fleet.tasks,
            settings=self.settings,
            lease=cast("Any", SimpleNamespace(is_over=False)),
            runner=cast("Any", self.runner),
            completer=cast("Any", SimpleNamespace(is_full=False)),
            holdings=cast("Any", SimpleNamespace(begin=_nothing, end=_nothing, lose=_nothing)),
            membership=cast("Any", SimpleNamespace(worker_id=self.id)),
            events=self,
        )
        self.claimer.start()
        self.pulsing = asyncio.create_task(self._heartbeat())

    def send(self, event: ClaimEvent) -> None:
        match event:
            case FlagsTold(up):
                self.notified = up
            case HeartbeatWanted():
                self.hurry.set()
            case _:
                pass

    def on_notify(self, payload: str) -> None:
        self.claimer.flags.heard()
        kind, _, queue = payload.partition(":")
        match kind:
            case "m":
                reach, _, queue = queue.partition(":")
                self.claimer.on_call(queue, int(reach))
            case "q":
                self.claimer.on_notification(queue)
            case "d":
                self.claimer.on_lowered(queue)
            case "w":
                self.claimer.seating.on_left()
            case _:
                pass

    async def _heartbeat(self) -> None:
        while True:
            self.hurry.clear()  # before: what happens meanwhile is for the next heartbeat
            now = self.server.loop.time()
            running, takes_jobs = self.runner.running, self.claimer.takes_jobs
            self.row = now, running, takes_jobs
            self.server.counts["heartbeat"] += 1
            await asyncio.sleep(OTHER)
            before = self.fleet.before(self, seats(self.settings.concurrency))
            self.on_watch = before < WATCH
            self.claimer.seating.on_heartbeat(
                before, len(self.fleet.listed()), running=running, takes_jobs=takes_jobs
            )
            try:
                async with asyncio.timeout(self._every() * self.server.rng.uniform(0.9, 1.0)):
                    await self.hurry.wait()
            except TimeoutError:
                pass

    def _every(self) -> float:
        rests = not self.on_watch and not self.runner.running
        return heartbeat_every(
            HEARTBEAT, self.settings.lease, len(self.fleet.listed()), at_rest=rests
        )

    def kill(self) -> None:
        """End without a word. What it holds is lost to this model; it is killed while idle."""
        self.dead_at = self.server.loop.time()
        self.server.listeners.pop(self, None)
        self.pulsing.cancel()
        assert self.claimer.task is not None
        self.claimer.task.cancel()
        if self.claimer.seating.moving is not None:
            self.claimer.seating.moving.cancel()


def _nothing(*_: object, **__: object) -> None: ...


class Fleet:
    """Workers, and what the rows of ``worker`` say of them."""

    def __init__(
        self, server: Server, size: int, *, tasks: Sequence[str] = ("task",), **settings: Any
    ) -> None:
        self.server = server
        self.tasks = list(tasks)
        self.settings = WorkerSettings.of(settings)
        server.kinds.add(kind_of([QUEUE], self.tasks, listen=self.settings.listen))
        self.workers: list[Worker] = []
        for _ in range(size):
            self.add()

    def add(self) -> Worker:
        worker = Worker(self.server.rng.getrandbits(63), self.server, self.settings, self)
        self.workers.append(worker)
        return worker

    def listed(self) -> list[Worker]:
        """Those with a row: the dead are rescued after some seconds."""
        now = self.server.loop.time()
        return [w for w in self.workers if w.dead_at is None or now < w.dead_at + FORGOTTEN]

    def before(self, worker: Worker, most: int) -> int:
        """What a heartbeat answers: how many that can take a job come before this one."""
        mine = load_of(worker.row[1]), worker.id
        first = (w for w in self.listed() if w.row[2] and (load_of(w.row[1]), w.id) < mine)
        return sum(1 for _, _ in zip(first, range(most), strict=False))

    @property
    def watch(self) -> list[Worker]:
        """Those on watch, in their order."""
        living = [w for w in self.workers if w.dead_at is None]
        on_watch = [w for w in living if w.claimer.seating.seat.rank is not None]
        return sorted(on_watch, key=lambda w: w.claimer.seating.seat.rank or 0)

    async def end(self) -> None:
        for worker in self.workers:
            if worker.dead_at is None:
                worker.kill()
        await asyncio.sleep(0.1)
