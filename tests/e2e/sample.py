"""The app that the processes run: copied to a directory of the test's own as ``jobs.py``."""

import asyncio
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

import pgqueue

app = pgqueue.App()

HOME = Path(__file__).parent


def note(what: str, job: pgqueue.RunningJob) -> None:
    """Leave a line in the trace; short appends from several processes do not mix."""
    with (HOME / "trace").open("a") as trace:
        trace.write(f"{what} {job.id} {os.getpid()}\n")


@app.task
async def instant() -> None: ...


@app.task
async def quick() -> None:
    job = pgqueue.current_job()
    note("begin", job)
    note("end", job)


@app.task
async def gated(gate: str = "gate") -> None:
    """Run until a file of that name appears."""
    job = pgqueue.current_job()
    note("begin", job)
    while not (HOME / gate).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    note("end", job)


@app.task
def gated_thread(gate: str = "gate") -> None:
    job = pgqueue.current_job()
    note("begin", job)
    pause = threading.Event()
    while not (HOME / gate).exists():
        pause.wait(0.01)
    note("end", job)


@app.task
async def stubborn() -> None:
    """Take no notice of being cancelled."""
    job = pgqueue.current_job()
    note("begin", job)
    while not (HOME / "gate").exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            note("ignored", job)


@app.task
async def die(code: int = 3) -> None:
    job = pgqueue.current_job()
    note("begin", job)
    os._exit(code)


@app.task
async def leave() -> None:
    job = pgqueue.current_job()
    note("begin", job)
    sys.exit(4)


@app.task
def leave_thread() -> None:
    job = pgqueue.current_job()
    note("begin", job)
    sys.exit(4)


@app.task
async def leave_nested() -> None:
    """SystemExit from a task of the loop, which asyncio lets through to whoever runs the loop."""
    job = pgqueue.current_job()
    note("begin", job)

    async def inner() -> None:
        sys.exit(4)

    await asyncio.create_task(inner())


@app.task
async def interrupt() -> None:
    job = pgqueue.current_job()
    note("begin", job)
    raise KeyboardInterrupt


@app.task
async def cancel() -> None:
    job = pgqueue.current_job()
    note("begin", job)
    raise asyncio.CancelledError


def fork_and_end_some() -> None:
    """Fork processes and end each by TERM in its first moment, as a multiprocessing pool may."""
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            while True:
                signal.pause()
        os.kill(pid, signal.SIGTERM)
        status = os.waitpid(pid, 0)[1]
        assert os.WTERMSIG(status) == signal.SIGTERM


@app.task
async def fork_and_end() -> None:
    fork_and_end_some()


@app.task
def fork_and_end_in_a_thread() -> None:
    fork_and_end_some()


@app.task
async def linger() -> None:
    """Leave a thread behind that the interpreter waits for at its end."""
    job = pgqueue.current_job()
    note("begin", job)
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)


@app.task
async def spin() -> None:
    """Keep the event loop, where signals are heard between two instructions."""
    job = pgqueue.current_job()
    note("begin", job)
    while True:
        pass


@app.task
async def hang_in_a_call() -> None:
    """Keep the event loop inside a call that no signal interrupts."""
    job = pgqueue.current_job()
    note("begin", job)
    lock = ctypes.create_string_buffer(64)
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)
