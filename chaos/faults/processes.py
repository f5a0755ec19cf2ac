"""Faults of worker processes: killed, told to stop, frozen, doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

import psutil

from chaos.faults.fault import (
    BaseFault,
    Missed,
    is_alive,
    lease_of,
    own_pids,
    proxy_of,
    some_worker,
    wait_for,
)

if TYPE_CHECKING:
    from chaos.arena import Arena, WorkerProcess

__all__ = ["Freeze", "KillAll", "KillChild", "KillSupervisor", "LoseHost", "Replace", "Stop"]

_START_SECONDS = 20.0
_STOP_SECONDS = 60.0


async def until_up(worker: WorkerProcess, without: set[int]) -> None:
    """Wait until the worker has processes of which none is an old one."""

    def fresh() -> bool:
        return bool(pids := set(worker.pids())) and not pids & without

    if not await wait_for(fresh, seconds=_START_SECONDS):
        raise AssertionError(f"{worker} has no new processes")


async def until_gone(pids: list[int], seconds: float) -> bool:
    """Wait until none of these runs."""
    return bool(await wait_for(lambda: not any(map(is_alive, pids)), seconds=seconds))


def send(pid: int, number: int) -> bool:
    """Signal a process; False if it is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


class KillChild(BaseFault):
    """One worker process is killed; its supervisor sees it."""

    name = "kill-child"
    label = "F1"
    disruptive = 6.0

    async def strike(self, arena: Arena) -> None:
        worker = some_worker(arena)
        victim = arena.rng.choice(worker.pids())
        self.victims = own_pids([victim])
        if not send(victim, signal.SIGKILL):
            raise Missed("it was gone already")
        arena.log("killed", pid=victim)
        await until_gone([victim], 5.0)
        await until_up(worker, {victim})


class KillSupervisor(BaseFault):
    """The supervisor is killed: its children see that, and stop in order beside their heirs."""

    name = "kill-supervisor"
    label = "F1"
    disruptive = 6.0

    async def strike(self, arena: Arena) -> None:
        worker = some_worker(arena)
        children = worker.pids()
        self.victims = own_pids(children)
        arena.log("killed", pid=worker.pid, orphans=children)
        worker.kill(signal.SIGKILL)
        try:
            await worker.ended()
        finally:
            worker.start()
        await until_up(worker, set(children))
        if not await until_gone(children, _STOP_SECONDS):
            raise AssertionError(f"processes {children} live on without their supervisor")


class KillAll(BaseFault):
    """A supervisor and its processes are killed at once: nobody gives their jobs back."""

    name = "kill-all"
    label = "F1"
    disruptive = 8.0

    async def strike(self, arena: Arena) -> None:
        worker = some_worker(arena)
        children = worker.pids()
        self.victims = own_pids(children)
        arena.log("killed", pid=worker.pid, children=children)
        worker.kill(signal.SIGSTOP)  # it must not see its children die
        try:
            for pid in children:
                send(pid, signal.SIGKILL)
        finally:
            worker.kill(signal.SIGKILL)
            await worker.ended()
            await asyncio.sleep(arena.rng.uniform(0.0, 1.5))
            worker.start()
        await until_up(worker, set(children))


class LoseHost(BaseFault):
    """A host vanishes: its processes are gone, and the server's ends of its sessions stay open."""

    name = "lose-host"
    label = "F2"
    disruptive = 10.0

    async def strike(self, arena: Arena) -> None:
        proxy = proxy_of(arena)
        worker = some_worker(arena)
        children = worker.pids()
        self.victims = own_pids(children)
        ports = {port for pid in children for port in client_ports(pid)}
        worker.kill(signal.SIGSTOP)
        held = proxy.silence(lambda link: link.port in ports)
        arena.log("lost", pid=worker.pid, children=children, sessions=held)
        try:
            for pid in children:
                send(pid, signal.SIGKILL)
            worker.kill(signal.SIGKILL)
            await worker.ended()
            if not held:
                raise Missed("its processes had no sessions")
            await asyncio.sleep(lease_of(arena) * arena.rng.uniform(1.2, 2.0))
        finally:
            proxy.resume(lambda link: link.port in ports)
            worker.start()
        await until_up(worker, set(children))


def client_ports(pid: int) -> list[int]:
    """The local ports of a process's TCP connections."""
    with contextlib.suppress(psutil.Error):
        return [c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.laddr]
    return []


class Stop(BaseFault):
    """TERM: once; twice (``force``); or once, and KILL in the middle of the stop (``kill``)."""

    label = "F3"

    def __init__(self, how: str) -> None:
        self.name = {"term": "stop", "force": "stop-twice", "kill": "stop-then-kill"}[how]
        self.disruptive = 6.0 if how == "kill" else 3.0
        self._how = how

    async def strike(self, arena: Arena) -> None:
        worker = some_worker(arena)
        told, children = worker.pid, worker.pids()
        self.victims = own_pids(children)
        try:
            worker.kill(signal.SIGTERM)
            if self._how != "term":
                await asyncio.sleep(arena.rng.uniform(0.0, 0.5))
            if self._how == "force":
                worker.kill(signal.SIGTERM)
            if self._how == "kill":
                for pid in [told, *children]:
                    send(pid, signal.SIGKILL)
            await wait_for(lambda: worker.pid != told or not worker.alive, seconds=_STOP_SECONDS)
            if worker.pid != told:
                raise Missed("another fault has replaced it")
            if worker.alive:
                raise AssertionError(f"{worker} does not stop")
            arena.log("stopped", how=self._how, code=worker.returncode)
            if self._how == "term" and worker.returncode != 0:
                raise AssertionError(f"{worker} stopped with exit code {worker.returncode}")
        finally:
            if worker.pid == told:
                if worker.alive:
                    last = worker.pids()
                    self.victims = [*self.victims, *own_pids(last)]
                    for pid in [told, *last]:
                        send(pid, signal.SIGKILL)
                    await worker.ended()
                worker.start()
        await until_up(worker, set(children))


class Replace(BaseFault):
    """HUP: the processes of a supervisor are replaced one by one, as in a deployment."""

    name = "replace"
    label = "F3"
    disruptive = 3.0

    async def strike(self, arena: Arena) -> None:
        worker = some_worker(arena)
        children = worker.pids()
        self.victims = own_pids(children)
        worker.kill(signal.SIGHUP)
        arena.log("replaced", pid=worker.pid)
        if not await until_gone(children, _STOP_SECONDS):
            raise AssertionError(f"{worker} keeps processes {children}")
        await until_up(worker, set(children))


class Freeze(BaseFault):
    """A worker process stands still for so many leases, then goes on (F29: less than one)."""

    def __init__(self, least: float, most: float) -> None:
        self.name = "freeze-long" if most > 1 else "freeze"
        self.label = "F30" if most > 1 else "F29"
        self.disruptive = 6.0 if most > 1 else 0.0
        self._share = (least, most)

    async def strike(self, arena: Arena) -> None:
        worker = some_worker(arena)
        victim = arena.rng.choice(worker.pids())
        self.victims = own_pids([victim])
        seconds = lease_of(arena) * arena.rng.uniform(*self._share)
        if not send(victim, signal.SIGSTOP):
            raise Missed("it was gone already")
        arena.log("frozen", pid=victim, seconds=round(seconds, 2))
        try:
            await asyncio.sleep(seconds)
        finally:
            send(victim, signal.SIGCONT)
