"""Waits for room and for a reason, and claims a batch.

A reason is a notification, a poll that is due, a due job, or a queue that had more: see Lane. A
claim that looks for one thing begins where the cursor stood a moment ago. Where there is more,
claims begin at the cursor; when one comes back short, the queue is looked at from a moment ago.
Then the watch raises its flag, claims once more, and looks ever less often for half a second: that
covers enqueues that read the flag before it was up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pgqueue import failpoints
from pgqueue.config import WorkerSettings
from pgqueue.db.faults import Contended
from pgqueue.db.listener import Listener
from pgqueue.db.patience import Patience
from pgqueue.db.store import READ_ALL_SECONDS, Store
from pgqueue.errors import PgQueueError
from pgqueue.outcome import RELEASED
from pgqueue.worker.claim.cursor import FAR_SECONDS, NEAR_SECONDS, Cursors
from pgqueue.worker.claim.flags import Flags
from pgqueue.worker.claim.inline import inline_bytes
from pgqueue.worker.claim.lane import Heat, Lane
from pgqueue.worker.claim.pace import Pace
from pgqueue.worker.claim.seating import Seating
from pgqueue.worker.claim.unread import is_unread, took_nothing, verdict
from pgqueue.worker.lease import Lease
from pgqueue.worker.neighbours import Claims, Outcomes, Room
from pgqueue.worker.receipt import entry_of
from pgqueue.worker.seat import kind_of, poll_after

if TYPE_CHECKING:
    from asyncpg import Record

__all__ = ["Claimer"]

log = logging.getLogger("pgqueue.worker")

_LAG_EVERY = 0.5
_LAG_SPACING = 0.02
_LAG_SHARE = 10
_FLAGS_EVERY = 2
_LONG_WALK = 0.01
_LONG_PROBES = 0.001
_STEP_EVERY = 1.0
_TAKE_BACK_AFTER = 1.0
_FULL_AFTER = 0.1
_REPORT_EVERY = 60.0
_SINGLY_SECONDS = 10.0
_GIVEN_UP_AFTER = 1.25
assert _LAG_SPACING < _LAG_EVERY
assert _FULL_AFTER < _TAKE_BACK_AFTER
assert _GIVEN_UP_AFTER > 1.0  # by then the server has ended a claim whose answer was lost


class Claimer:
    """Claims jobs for the runner."""

    def __init__(
        self,
        store: Store,
        *,
        lock: asyncio.Lock,
        listener: Listener,
        queues: Sequence[str],
        tasks: Sequence[str],
        settings: WorkerSettings,
        lease: Lease,
        runner: Room,
        completer: Outcomes,
        holdings: Claims,
        worker_id: Callable[[], int | None],
        on_limit: Callable[[], None],
        on_unknown: Callable[[], None],
        on_flags: Callable[..., None],
        pulse: Callable[[], None],
    ) -> None:
        self._store = store
        self._lock = lock
        self._lanes = {name: Lane(name) for name in queues}
        self._order = list(queues)
        self._tasks = list(tasks)
        self._settings = settings
        self._lease = lease
        self._runner = runner
        self._completer = completer
        self._holdings = holdings
        self._worker_id = worker_id
        self._on_limit = on_limit
        self._on_unknown = on_unknown
        self.flags = Flags(
            store,
            lock,
            self._lanes,
            listen=settings.listen,
            kind=kind_of(queues, tasks, listen=settings.listen),
            on_flags=on_flags,
            on_deaf=self.look_everywhere,
        )
        self.seating = Seating(
            store,
            lock,
            listener,
            settings=settings,
            on_watch=self._on_watch,
            on_away=self._on_away,
            pulse=pulse,
        )
        self._cursors = Cursors(queues)
        self._pace = Pace(runner, settings.max_prefetch)
        self._bell = asyncio.Event()
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._away = False
        self._poll_at = 0.0
        self._polls = 0
        self._lag_at = 0.0
        self._step_at = 0.0
        self._report_at = time.monotonic() + _REPORT_EVERY / 6
        self._reported: set[tuple[str, str]] = set()
        self._returning: set[tuple[str, int]] = set()  # taken back, and not written yet
        self._singly_until = 0.0
        self._patient = False
        self._finished = 0  # how many jobs had ended when it began to be full
        self.claims = 0
        self.claimed = 0

    # -- bells

    def start(self) -> None:
        """Begin to claim."""
        self.flags.tell()
        self._task = asyncio.create_task(self._loop(), name="pgqueue claimer")

    def on_room(self) -> None:
        """The runner can take more."""
        self._room.set()

    def on_ready(self, queues: Iterable[str]) -> None:
        """These queues have work."""
        for name in queues:
            lane = self._lanes.get(name)
            if lane is not None:
                lane.hot = Heat.HOT
        self._bell.set()

    def on_notification(self, queue: str) -> None:
        """Somebody enqueued to this queue."""
        lane = self._lanes.get(queue)
        if lane is not None:
            lane.on_notification(self.seating.seat, time.monotonic())
            self._bell.set()

    def on_call(self, queue: str, reach: int) -> None:
        """This queue has more than others can take; so many workers are called."""
        lane = self._lanes.get(queue)
        if lane is not None:
            lane.on_call(reach, self.seating.seat, time.monotonic(), random.random())
            self._bell.set()

    def on_lowered(self, queue: str) -> None:
        """A worker took the flag of this queue down."""
        lane = self._lanes.get(queue)
        if lane is not None:
            lane.on_lowered(time.monotonic())
            self._bell.set()

    def _on_watch(self) -> None:
        self.flags.on_watch = True
        self._poll_at = min(self._poll_at, time.monotonic() + self._settings.poll_interval)
        self.look_everywhere()

    def _on_away(self) -> list[str]:
        """Others are on watch now. Return the queues whose flag was taken down here."""
        lowered = [lane.name for lane in self._lanes.values() if lane.leave()]
        self.flags.on_watch = False
        self.flags.forget()
        self.flags.tell()
        return lowered

    def _poll_after(self) -> float:
        settings = self._settings
        return poll_after(settings.poll_interval, self.seating.seat, listen=settings.listen)

    def on_rewind(self, queue: str, position: int) -> None:
        """A job is ready again at an old position."""
        if self._returning:
            self._returning.discard((queue, position))
            self._room.set()
        self._cursors.rewind(queue, position)
        self.on_ready((queue,))

    def look_everywhere(self) -> None:
        """Anything may have been missed while we could not listen: look at all queues."""
        self.flags.forget()
        self.flags.doubt()
        self.flags.tell()
        self.on_ready(self._order)

    def cursors(self) -> list[int]:
        """Return where the claims of each queue go on from, ten for each."""
        return self._cursors.now(self._order)

    async def stop(self) -> None:
        """Stop claiming; a claim that is on its way is waited for, and its jobs given back."""
        self._stopping = True
        self._bell.set()
        self._room.set()
        await self.seating.stop()
        if self._task is not None:
            _, pending = await asyncio.wait([self._task], timeout=self._settings.deadline)
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending)
            self._task = None
        if lowered := self._on_away():
            with contextlib.suppress(PgQueueError):
                async with self._lock:
                    await self._store.raise_flags(lowered)

    # -- the loop

    async def _loop(self) -> None:
        patience = Patience()
        while not self._stopping:
            try:
                await self._turn()
                patience.reset()
                if self._away:
                    self._away = False
                    log.info("claiming again")
                    self.look_everywhere()
            except Exception as exc:
                if not self._away:
                    self._away = True
                    if is_unread(exc):
                        what = "the answer to a claim could not be read"
                    else:
                        what = "claiming waits for the database"
                    ours = isinstance(exc, PgQueueError) or is_unread(exc)
                    log.warning("%s: %s", what, str(exc) or repr(exc), exc_info=not ours)
                await asyncio.sleep(patience.delay())
                # What the failed turn was to look at is not to wait for a poll.
                for lane in self._lanes.values():
                    lane.hot = Heat.HOT

    async def _turn(self) -> None:
        """Wait until there is room and a reason, then claim."""
        if self._completer.is_full:
            await self._completer.wait_room()
        if not await self._wait_room():
            return
        lanes = await self._wait_reason()
        room = self._room_now()
        if self._stopping or room <= 0:
            return
        now = time.monotonic()
        if now >= self._poll_at:
            await self._poll(room)
        elif max(lane.hot for lane in lanes) > (Heat.ONCE if now >= self._lag_at else Heat.COLD):
            await self._claim(lanes, room)
        else:
            await self._look_once(lanes, room)
        await self.flags.mind_streams(list(self._lanes.values()))

    @property
    def takes_jobs(self) -> bool:
        """True if a job that is enqueued now can begin here."""
        most = self._settings.max_jobs
        return (
            not self._away
            and not self._completer.is_full
            and self._runner.running < self._settings.concurrency
            and (most is None or self._kept < most)
        )

    def _room_now(self) -> int:
        """How many jobs the runner can take.

        None could begin without a lease. Beside jobs on their way back, later ones would overtake
        them.
        """
        if self._lease.is_over or self._returning:
            return 0
        room = self._runner.free + self._ahead()
        if self._settings.max_jobs is not None:
            room = min(room, self._settings.max_jobs - self._kept)
        return room if time.monotonic() >= self._singly_until else min(room, 1)

    @property
    def _kept(self) -> int:
        """Jobs that were claimed and not passed on to others."""
        return self.claimed - self._runner.passed_on

    async def _wait_room(self) -> bool:
        """Return True once there is room for a batch worth claiming, False when stopping."""
        self._pace.mark()
        timeout = _FULL_AFTER
        while not self._stopping:
            ahead = self._ahead()
            low = ahead // 2
            if self._runner.buffered <= low and self._room_now() > 0:
                return True
            most = self._settings.max_jobs
            if most is not None and self._kept >= most and not self._runner.waits:
                self._on_limit()
            self._room.clear()
            self._runner.tell_when(low)
            try:
                async with asyncio.timeout(timeout):
                    await self._room.wait()
            except TimeoutError:
                if timeout == _TAKE_BACK_AFTER:
                    self._take_back()
                self.seating.on_full()
                timeout = _TAKE_BACK_AFTER
        return False

    def _ahead(self) -> int:
        """How many jobs to claim ahead of free slots: none while others may have free ones."""
        if self.seating.seat.workers > 1:
            if all(lane.full_since is None for lane in self._lanes.values()):
                self._finished = self._runner.finished
                return 0
            # Nor by the pace of jobs that were there before.
            if self._runner.finished - self._finished < self._settings.concurrency:
                return 0
        return self._pace.ahead(max(lane.turn for lane in self._lanes.values()))

    def _take_back(self) -> None:
        """Give back what no slot will come free for within a second or so: the jobs are long."""
        pace = self._pace.since_mark(at_least=_TAKE_BACK_AFTER)
        taken = self._runner.take_back(int(pace * _TAKE_BACK_AFTER))
        for record, token in taken:
            self._returning.add((record["queue"], record["position"]))
            self._completer.add(entry_of(record, token, RELEASED))
        if taken:
            self._pace.slow_to(pace)
            log.debug("gave back %d jobs that would not have begun soon", len(taken))

    async def _wait_reason(self) -> list[Lane]:
        """Return the queues to look at, or to look back on, once there is a reason to."""
        while not self._stopping:
            now = time.monotonic()
            lanes: list[Lane] = []
            next_look = self._poll_at
            for lane in self._lanes.values():
                lane.look_if_due(now)
                if lane.hot or (lane.owed and self._lag_at <= now):
                    lanes.append(lane)
                    continue
                if lane.looks:
                    next_look = min(next_look, lane.looks[-1])
                if lane.owed:
                    next_look = min(next_look, self._lag_at)
            if lanes or next_look <= now:
                return lanes
            self._bell.clear()
            if self._runner.free > 0:
                self.seating.on_idle()
            try:
                async with asyncio.timeout(next_look - now):
                    await self._bell.wait()
            except TimeoutError:
                pass
        return []

    async def _claim(self, lanes: list[Lane], room: int) -> None:
        """Claim from the cursors; look back where that came up short."""
        now = time.monotonic()
        self._cursors.remember(now)
        names = self._turned([lane.name for lane in lanes])
        cursors = self._cursors.heads(names)
        if now >= self._lag_at + _LAG_EVERY and any(lane.full_since is not None for lane in lanes):
            # A queue that is never short would never be looked back on.
            cursors = self._cursors.lagging(names, now, NEAR_SECONDS)
            self._lag_at = now + _LAG_SPACING
        for lane in lanes:
            lane.hot = Heat.COLD  # before the claim: a notification meanwhile counts
        counts, quota, busy = await self._take(names, cursors, room)
        short = await self._sort_out(lanes, counts, quota, busy, now)
        await self.flags.down([lane for lane in lanes if lane.full_since is not None], now)
        if not short or self._stopping:
            return
        room = self._room_now()
        if room > 0:
            await self._look_back(short, room)
        else:
            for lane in short:
                lane.hot = Heat.HOT

    async def _sort_out(
        self, lanes: list[Lane], counts: Counter[str], quota: int, busy: set[str], began: float
    ) -> list[Lane]:
        """Note what a claim brought; return the queues that had less than they might."""
        now = time.monotonic()
        short: list[Lane] = []
        grown: list[Lane] = []  # streams that are more than this worker can take
        seat = self.seating.seat
        # Of those that were there before: what never waits is over by the next claim.
        running = self._settings.concurrency - self._runner.free - counts.total()
        light = self.seating.is_light(running)
        self.seating.on_load(running)
        for lane in lanes:
            if lane.name in busy:
                continue  # who is there may leave something: see Lane.met
            count = counts[lane.name]
            streamed = lane.streaming
            full = count >= quota
            lane.found(count, full=full, seat=seat, began=began, now=now, light=light)
            if not full:
                short.append(lane)
            elif streamed:
                grown.append(lane)
        if grown:
            await self.flags.up(grown)
        for lane in lanes:
            reach = 0 if lane.name in busy else lane.calls(counts[lane.name], seat, now)
            if reach:
                async with self._lock:
                    await self._store.call(f"m:{reach}:{lane.name}")
        return short

    async def _look_once(self, lanes: list[Lane], room: int) -> None:
        """Claim from where the cursors stood a moment ago: this is the look back as well."""
        now = time.monotonic()
        self._cursors.remember(now)
        names = self._turned([lane.name for lane in lanes])
        lagging = self._cursors.lagging(names, now, FAR_SECONDS)
        for lane in lanes:
            lane.hot, lane.owed = Heat.COLD, False
        counts, quota, busy = await self._take(names, lagging, room)
        took = time.monotonic() - now
        self._lag_at = now + took + max(_LAG_SPACING, _LAG_SHARE * took)
        short = await self._sort_out(lanes, counts, quota, busy, now)
        await self._step_over([lane for lane in short if not counts[lane.name]], took)
        await self.flags.up([lane for lane in short if not lane.streaming])

    async def _look_back(self, lanes: list[Lane], room: int) -> None:
        """Look back at queues whose claim came up short, or as soon as it is time to."""
        put_off = time.monotonic() < self._lag_at
        for lane in lanes:
            lane.owed = put_off
        if not put_off:
            await self._look_once(lanes, room)

    async def _step_over(self, lanes: list[Lane], took: float) -> None:
        """Take the cursors past what a claim walks over in vain, so that the next one need not.

        These are jobs of tasks that this worker does not know, or rows that lie dead. What was
        given a position before, and is committed later, is behind the cursors then, as ever.
        """
        now = time.monotonic()
        if took < _LONG_WALK + _LONG_PROBES * len(lanes) or now < self._step_at:
            return
        self._step_at = now + _STEP_EVERY
        async with self._lock:
            newest = await self._store.newest_positions([lane.name for lane in lanes])
        # A paused queue is not among them: all of it is to be found again.
        before = {
            name: heads
            for name, position in newest.items()
            if min(heads := self._cursors.now([name])) < position
        }
        names, room, claims = list(before), self._room_now(), self.claims
        if not names or room <= 0 or self._stopping:
            return
        counts, _, busy = await self._take(names, self._cursors.heads(names), room)
        if self.claims == claims or counts.total() >= room:
            return  # not all of them were looked at to their ends
        for name in names:
            if counts[name]:
                self._lanes[name].hot = Heat.HOT
            elif name not in busy and self._cursors.now([name]) == before[name]:
                self._cursors.step(name, newest[name])

    async def _poll(self, room: int) -> None:
        """Look at every queue, announced or not."""
        now = time.monotonic()
        # Workers that began together must not poll together for ever.
        self._poll_at = now + self._poll_after() * random.uniform(0.8, 1.0)
        self._polls += 1
        if self._polls % _FLAGS_EVERY == 0:
            self.flags.doubt()
        await self._look_once(list(self._lanes.values()), room)
        if now >= self._report_at:
            await self._report_unknown()

    async def _take(
        self, names: list[str], cursors: list[int], room: int
    ) -> tuple[Counter[str], int, set[str]]:
        """Claim, hand the jobs on; return how many of each queue, the quota, the busy queues."""
        worker = self._worker_id()
        counts: Counter[str] = Counter()
        if worker is None:
            await asyncio.sleep(0.05)  # between a lost lease and the new registration
            return counts, 1, set()
        push = await self._is_stuck(names)
        quota = max(1, -(-room // len(names)))
        token = secrets.randbits(63)
        self._holdings.begin(token)
        try:
            began = time.monotonic()
            async with self._lock:
                records, waiting = await self._store.claim(
                    names,
                    [quota] * len(names),
                    cursors,
                    self._tasks,
                    room,
                    worker,
                    token,
                    push=push,
                    patient=self._patient,
                    inline=inline_bytes(room),
                )
            busy = set(waiting)
            self._met(names, busy, began)
            if push:
                busy.clear()  # they were claimed from all the same
            if records:
                self._keep(records, names, counts, worker, token)
        except BaseException as exc:
            self._lose(worker, token, room, exc)
            raise
        finally:
            self._holdings.end(token, took=bool(counts))
        return counts, quota, busy

    def _met(self, names: list[str], busy: set[str], began: float) -> None:
        """Note how long a claim took, and which queues were busy."""
        self.claims += 1
        now = time.monotonic()
        # Until the cursors are past it: the next one walks over the same.
        self._patient = now - began > self._settings.deadline / 2
        for name in names:
            self._lanes[name].met(busy=name in busy, seat=self.seating.seat, now=now)

    def _keep(
        self,
        records: list[Record],
        names: list[str],
        counts: Counter[str],
        worker: int,
        token: int,
    ) -> None:
        """Take the cursors past what was claimed, and hand it on."""
        if not self.claimed:
            # It walked over all that lies dead in the queue: a look back at once would do so again.
            self._lag_at = time.monotonic()
        advance = self._cursors.advance
        if len(names) == 1:
            counts[names[0]] = len(records)
            name = names[0]
            for record in records:
                advance(name, record["priority"], record["position"])
        else:
            for record in records:
                name = record["queue"]
                counts[name] += 1
                advance(name, record["priority"], record["position"])
        self._cursors.settle()
        if failpoints.armed is not None:
            failpoints.armed.reach("claim.received", self._store.link.cut)
        if self._stopping or self._worker_id() != worker:
            # Nobody would keep the lease of what was claimed under an id that is lost by now.
            for record in records:
                self._completer.add(entry_of(record, token, RELEASED))
        else:
            self.claimed += len(records)
            self._runner.add(records, token)

    def _lose(self, worker: int, token: int, room: int, why: BaseException) -> None:
        """A claim failed that may have been carried out: what it took is given back.

        If its answer could not be read, jobs are claimed one by one for a while: the one at fault
        is then alone.
        """
        if isinstance(why, Contended):
            # There is more to walk over than its time allows: the same again would never end.
            self._patient = True
        if took_nothing(why):
            return
        outcome = RELEASED
        if is_unread(why):
            self._singly_until = time.monotonic() + _SINGLY_SECONDS
            if room == 1:
                outcome = verdict(why)
        longest = READ_ALL_SECONDS if self._patient else self._settings.deadline
        self._holdings.lose(token, worker, _GIVEN_UP_AFTER * longest, outcome)
        self._on_unknown()

    async def _is_stuck(self, names: list[str]) -> bool:
        """True if a claim that must hang is in the way: then its lock is passed by."""
        now = time.monotonic()
        lanes = [self._lanes[name] for name in names]
        for lane in lanes:
            if lane.asks_who(now):
                async with self._lock:
                    lane.held_by(await self._store.claim_holder(lane.name), now)
                if lane.stuck:
                    log.warning(
                        'a claim of queue "%s" has not ended for some seconds; claiming beside it',
                        lane.name,
                    )
        return any(lane.stuck for lane in lanes)

    def _turned(self, names: list[str]) -> list[str]:
        """Return the names with another one first each time, so that none is always last."""
        if len(names) < 2:
            return names
        start = self.claims % len(names)
        return names[start:] + names[:start]

    async def _report_unknown(self) -> None:
        """Name the tasks that wait in our queues and that we do not know, once each."""
        self._report_at = time.monotonic() + _REPORT_EVERY
        async with self._lock:
            waiting = await self._store.unknown_tasks(self._order, self._tasks)
        for queue, task, jobs in waiting:
            if (queue, task) not in self._reported:
                self._reported.add((queue, task))
                log.warning(
                    'queue "%s" holds jobs of task "%s", which this worker does not know '
                    "(%d among those next in line); they stay there for one that does",
                    queue, task, jobs,
                )  # fmt: skip
