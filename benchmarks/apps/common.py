"""What each Python adapter's program does alike: it installs, enqueues, and marks what it ran.

Runs in the environment of the system under test: the standard library alone, and uvloop if it is
there. What the harness asks for is in the arguments, what it measured is one line of JSON.

The marks of a process are a file that the harness maps too: a head, a byte for each job that
counts its executions, and for each timed job when it was enqueued and how long it took to begin.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import itertools
import json
import mmap
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import mix
from crowd import ROLES, now_us

HEAD = 64
_WARM_UP = 5
_TURN_SECONDS = 0.25
DSN = os.environ.get("BENCH_DSN", "")
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "0"))
KEYS = int(os.environ.get("BENCH_KEYS", "0"))  # 0: jobs have no key and no limit
BYTES = int(os.environ.get("BENCH_BYTES", "0"))  # of the text that a job of "carry" has

Enqueue = Callable[[str, int], Awaitable[object]]


def key_of(kind: str, n: int) -> str:
    """The key of a job, where jobs have keys: one job of a key runs at a time."""
    return f"{kind}-{n % KEYS}"


class Marks:
    def __init__(self) -> None:
        self._jobs = int(os.environ.get("BENCH_JOBS", "0"))
        self._name = os.environ.get("BENCH_MARKS_NAME", "")
        self._pid = 0

    def _open(self) -> None:
        size = HEAD + (self._jobs + 7) // 8 * 8 + 8 * self._jobs
        path = Path(os.environ["BENCH_MARKS"], self._name or str(os.getpid()))
        with path.open("a+b") as file:
            file.truncate(size)
            view = memoryview(mmap.mmap(file.fileno(), size))
        self._head = view[:HEAD].cast("Q")
        self._seen = view[HEAD : HEAD + self._jobs]
        self._times = view[size - 8 * self._jobs :].cast("I")
        self._numbers = itertools.count()
        self._pid = os.getpid()

    def hit(self, n: int) -> None:
        """Job ``n`` runs."""
        if not self._pid:
            self._open()
        self._seen[n] += 1

    def stamp(self, enqueued_us: int) -> None:
        """A job begins that was enqueued at ``enqueued_us`` of the machine's monotonic clock."""
        now = now_us()
        if not self._pid:
            self._open()
        i = next(self._numbers)
        if i < self._jobs:
            self._times[2 * i] = enqueued_us // 1000 & 0xFFFFFFFF
            self._times[2 * i + 1] = min(now - enqueued_us, 0xFFFFFFFF)
        self._head[0] = i + 1


marks = Marks()


# What a job does: nothing, 50 ms of waiting, or a note of when it began, and a shorter wait.


async def noop(n: int) -> None:
    marks.hit(n)


async def sleep(n: int) -> None:
    marks.hit(n)
    await asyncio.sleep(0.05)


async def stamp(n: int) -> None:
    marks.stamp(n)


async def brief(n: int) -> None:
    marks.stamp(n)
    await asyncio.sleep(0.01)


async def nap(n: int) -> None:
    marks.stamp(n)
    await asyncio.sleep(0.02)


async def carry(n: int, text: str) -> None:
    assert len(text) == BYTES
    marks.hit(n)


def blocking(n: int) -> None:
    marks.hit(n)


@functools.cache
def _letters() -> str:
    """Random letters: what compresses well would be a payload of its compressed size."""
    return base64.b64encode(random.Random(18).randbytes(BYTES + 4096)).decode()


def arguments(kind: str, n: int) -> dict[str, Any]:
    """The arguments of a job of this kind; each of "carry" has another text than its neighbours."""
    if kind != "carry":
        return {"n": n}
    start = n % 4096
    return {"n": n, "text": _letters()[start : start + BYTES]}


HANDLERS: dict[str, Callable[..., Any]] = {
    "noop": noop,
    "sleep": sleep,
    "stamp": stamp,
    "brief": brief,
    "blocking": blocking,
    "nap": nap,
    "carry": carry,
}
ASYNC_HANDLERS = {name: HANDLERS[name] for name in ("noop", "sleep", "stamp", "brief")}


class Peer(Protocol):
    """One system, as its documentation says that it is fastest."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def install(self) -> None:
        """Make the system's tables, on a new database."""
        ...

    async def bulk(self, kind: str, numbers: Sequence[int]) -> None:
        """Enqueue a job for each number, by the fastest call there is."""
        ...

    async def one(self, kind: str, n: int) -> object:
        """Enqueue a job by the usual call."""
        ...

    async def client(self, variant: str) -> Enqueue:
        """One more client with its own connection; ``variant`` says of which kind."""
        ...

    def work(self) -> None:
        """Run jobs until SIGTERM."""
        ...


def main(peer: Peer) -> None:
    role, *arguments = sys.argv[1:]
    if role == "worker":
        peer.work()
        return
    answer = run(_act(peer, role, arguments))
    print(json.dumps(answer), flush=True)


def run(work: Any) -> Any:
    """Run a coroutine on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


async def _act(peer: Peer, role: str, arguments: list[str]) -> dict[str, Any]:
    await peer.open()
    try:
        if role == "install":
            await peer.install()
            return {}
        if role == "bulk":
            return await _bulk(peer, arguments[0], int(arguments[1]), int(arguments[2]))
        if role == "single":
            return await _single(peer, arguments[0], int(arguments[1]), int(arguments[2]))
        if role == "stream":
            return await _stream(
                peer, arguments[0], float(arguments[1]), float(arguments[2]), arguments[3]
            )
        if role == "clients":
            count, seconds, first, *variants = arguments
            return await _clients(peer, int(count), float(seconds), int(first), variants)
        if act := (ROLES | mix.ROLES).get(role):
            return await act(peer, *arguments)
        raise SystemExit(f"unknown role {role!r}")
    finally:
        await peer.close()


async def _bulk(peer: Peer, kind: str, first: int, count: int) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    await peer.bulk(kind, range(first, first + count))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def _single(peer: Peer, variant: str, count: int, warm_up: int) -> dict[str, Any]:
    """Enqueue one after another, the first ones untimed; number 0 is the first timed one."""
    enqueue = await peer.client(variant)
    times: list[float] = []
    for n in range(count + warm_up):
        began = time.perf_counter()
        await enqueue("noop", n)
        times.append(time.perf_counter() - began)
    return {"seconds": times[warm_up:]}


async def _stream(
    peer: Peer, kind: str, rate: float, seconds: float, spacing: str
) -> dict[str, Any]:
    """Enqueue at a rate, whatever the answers take; ``spacing`` is even or random."""
    draw = random.Random(18)
    running: set[asyncio.Task[object]] = set()
    failures: list[BaseException] = []

    def ended(task: asyncio.Task[object]) -> None:
        running.discard(task)
        if (error := task.exception()) is not None:
            failures.append(error)

    sent = 0
    due = began = time.monotonic()
    while due < began + seconds:
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.ensure_future(_send(peer, kind))
        running.add(task)
        task.add_done_callback(ended)
        sent += 1
        due += draw.expovariate(rate) if spacing == "random" else 1 / rate
    while running:
        await asyncio.wait(running)
    if failures:
        raise failures[0]
    return {"sent": sent, "began_us": int(began * 1e6), "seconds": time.monotonic() - began}


async def _send(peer: Peer, kind: str) -> object:
    return await peer.one(kind, now_us())


async def _clients(
    peer: Peer, count: int, seconds: float, first: int, variants: list[str]
) -> dict[str, Any]:
    """So many clients that enqueue as fast as they can, each on a connection of its own.

    With several variants, all clients of all processes do the same for a quarter of a second, then
    the next. ``each`` has what was sent by each.
    """
    variants = variants or ["async"]
    clients = [[await peer.client(variant) for variant in variants] for _ in range(count)]
    numbers = itertools.count(first)
    for enqueues in clients:  # each connection has its statements prepared
        for enqueue in enqueues:
            for _ in range(_WARM_UP):
                await enqueue("noop", next(numbers))
    # Other processes start at the same time.
    start = max(time.monotonic(), float(os.environ.get("BENCH_START", "0")))
    await asyncio.sleep(start - time.monotonic())
    each = dict.fromkeys(variants, 0)

    async def press(enqueues: list[Enqueue]) -> None:
        while (passed := time.monotonic() - start) < seconds:
            turn = int(passed / _TURN_SECONDS) % len(variants)
            await enqueues[turn]("noop", next(numbers))
            each[variants[turn]] += 1

    await asyncio.gather(*map(press, clients))
    return {
        "sent": sum(each.values()),
        "each": each,
        "seconds": time.monotonic() - start,
        "before": count * _WARM_UP,
    }
