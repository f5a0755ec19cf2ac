"""Runs a worker in several processes: spawns, watches, restarts, and passes signals on.

Each slot holds one process (slots.py); a new one is started before an old one is told to leave. The
jobs of one that crashed are released at once, and its slot is filled after a delay.

TERM and INT stop all in order; a second one forces. HUP, or a changed file, replaces the processes
one by one, and keeps the old where a new one does not start; with a terminal, whose closing it
tells, HUP stops. A process that cannot start because something is set wrong ends all. While the
server is away, the processes wait for it themselves.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence

from pgqueue.config import WorkerSettings, check_int
from pgqueue.supervisor.control import Message
from pgqueue.supervisor.crashes import Crashes
from pgqueue.supervisor.process import Process, environment_of
from pgqueue.supervisor.reload import Reload
from pgqueue.supervisor.slots import (
    TRIES,
    Ending,
    Event,
    Slot,
    is_lasting,
    next_to_replace,
    roll_of_all,
    tried_enough,
)
from pgqueue.supervisor.wake import has_terminal, waking
from pgqueue.worker.life_lines import STOPPING, STOPPING_NOW
from pgqueue.worker.stop_times import patience

__all__ = ["Supervisor"]

log = logging.getLogger("pgqueue.supervisor")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Supervisor:
    """Runs ``target`` ("module:app") in ``processes`` child processes.

    ``settings``: those of WorkerSettings, by name. ``directory``: where modules are looked for
    first. ``until_idle``: stop once nothing is to do. ``reload``: tells of changed files.
    ``max_jobs_per_process``: a process that began so many jobs is replaced, and ends when they are
    done. ``dsn`` and ``schema``: for apps that name none. ``log_level``: None leaves all of
    logging to the app. ``uvloop``: None: where it is installed. ``cells``: the dsns of several
    servers that each process works for.
    """

    def __init__(
        self,
        target: str,
        *,
        settings: Mapping[str, object], processes: int, directory: str | None = None,
        until_idle: bool = False, reload: Reload | None = None,
        max_jobs_per_process: int | None = None, dsn: str | None = None, schema: str | None = None,
        log_level: str | None = "info", log_format: str = "text", uvloop: bool | None = None,
        cells: Sequence[str] = (),
    ) -> None:  # fmt: skip
        given = {name: value for name, value in settings.items() if value is not None}
        if max_jobs_per_process is not None:
            given["max_jobs"] = max_jobs_per_process
        self._settings = checked = WorkerSettings.of(given)
        count = check_int(processes, "processes", 1, 1000)
        self._slots = [Slot[Process](n + 1) for n in range(count)]
        self._reload = reload
        self._id = secrets.randbits(63)
        self._options = {
            "target": target, "directory": directory, "until_idle": until_idle,
            "settings": {name: getattr(checked, name) for name in given},
            "log_level": log_level, "log_format": log_format, "uvloop": uvloop, "cells": [*cells],
        }  # fmt: skip
        self._env = environment_of(self._id, dsn, schema)
        self._servers = len(cells) or 1
        self._crashes = Crashes(self._id, checked, self._servers)
        self._busy = set(range(self._servers))  # where there is something to do
        self._processes: set[Process] = set()
        self._roll: deque[Slot[Process]] = deque()
        self._selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Work until told to stop; return the exit code: 0 if all processes ended in order.

        To be called in the main thread, once. It puts the signal handlers back that it found.
        """
        with waking(_SIGNALS) as woken, self._selector:
            try:
                self._selector.register(woken, selectors.EVENT_READ)
                while self._processes or not self._stopping:
                    self._do_due()
                    self._wait(woken)
                    self._reap()
                    self._heed_files()
            finally:
                self._clear_away()
        return self._code

    def _wait(self, woken: socket.socket) -> None:
        """Wait for a signal, for a word from a process, or for the next thing that is due."""
        due = [at for slot in self._slots if (at := slot.spawn_at) is not None]
        due += [at for process in self._processes if (at := process.kill_at) is not None]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        if self._reload is not None:
            timeout = self._reload.bound(timeout)
        for key, _ in self._selector.select(timeout):
            if key.fileobj is woken:
                with contextlib.suppress(BlockingIOError):
                    for number in woken.recv(4096):
                        self._on_signal(number)
            else:
                self._listen(key.data)

    def _listen(self, process: Process) -> None:
        messages = process.read()
        if messages is None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(process.control)
            return
        for message in messages:
            self._on_message(process, message)

    def _reap(self) -> None:
        for process in tuple(self._processes):
            code = process.ended()
            if code is not None:
                self._listen(process)
                self._forget(process)
                self._on_end(process, code)

    def _forget(self, process: Process) -> None:
        self._processes.discard(process)
        with contextlib.suppress(KeyError):
            self._selector.unregister(process.control)
        process.close()

    def _clear_away(self) -> None:
        """Leave nothing behind; there is nothing to clear away unless this failed."""
        for process in tuple(self._processes):
            process.kill()
            process.wait()
            self._forget(process)
            self._crashes.release(process)
        self._crashes.finish()

    # -- what happens

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            return  # reaped after each wait
        name = signal.Signals(number).name
        if number == signal.SIGHUP and not has_terminal():
            if not self._stopping:
                log.info("%s: replacing the processes one by one", name)
                self._replace_all()
        elif not self._stopping:
            log.info("%s: %s", name, STOPPING)
            self._stop()
        else:
            log.info("%s: %s", name, STOPPING_NOW)
            for process in self._processes:
                process.stop(patience=patience(self._settings, forced=True), force=True)

    def _on_message(self, process: Process, message: Message) -> None:
        slot = self._slots[process.number - 1]
        match message["event"]:
            case "registered":
                self._crashes.registered(message)
            case "started" if not process.started:  # at the first of its servers
                process.started = True
                log.info("%r started", process)
                # The successor has started: let the one before it leave.
                if (leaving := slot.started(process)) is not None:
                    leaving.stop(patience=patience(self._settings))
                self._roll_on()
            case "retiring":
                if process is slot.current and not self._stopping:
                    log.info("%r has taken its last job and is replaced", process)
                    self._fill(slot)
            case "idle":  # one speaks for all: it has looked at what every worker runs
                self._busy.discard(message["cell"])
                if not self._busy and not self._stopping:
                    log.info("nothing is left to do; stopping")
                    self._stop()
            case "failed":
                process.why = message["why"]
            case "stopped":
                process.stopped = True
            case _:
                pass

    def _on_end(self, process: Process, code: int) -> None:
        ending = process.ending(code)
        if ending.held_jobs:
            self._crashes.release(process)
        slot = self._slots[process.number - 1]
        happened = slot.ended(process, ending, time.monotonic())
        if not ending.in_order and (process.started or not self._stopping):
            log.error("%r %s", process, process.how(code))
        if self._stopping:
            if ending.spoils_a_stop:
                self._code = self._code or 1
        elif happened is Event.SUCCESSOR_ENDED:
            log.error("a new process does not start; keeping the old ones")
            if slot not in self._roll:  # else it was asked for again meanwhile
                self._roll.clear()
            self._roll_on()
        elif happened is Event.ENDED:
            if ending.in_order:
                log.info("%r stopped by itself", process)
            if self._reload is None:
                self._give_up_if_vain(ending)
            elif ending.never_started and slot not in self._roll:
                slot.rest()  # until a file changes: the next would fare no better
                log.info("waiting for a change in %s", self._reload.directory)
            with contextlib.suppress(ValueError):
                self._roll.remove(slot)  # the next one begins with the new code
            self._roll_on()

    def _give_up_if_vain(self, ending: Ending) -> None:
        reached = self._crashes.has_reached_one
        if is_lasting(ending, reached=reached):
            self._stop(ending.code)
        elif tried_enough(ending, self._slots, reached=reached):
            log.error("no process could start in %d tries; giving up", TRIES)
            self._stop(1)

    # -- what is done about it

    def _replace_all(self) -> None:
        self._roll = roll_of_all(self._slots, time.monotonic())
        self._roll_on()

    def _heed_files(self) -> None:
        if self._reload is not None and not self._stopping and (what := self._reload.changed()):
            log.info("%s changed: replacing the processes one by one", what)
            self._replace_all()

    def _fill(self, slot: Slot[Process]) -> None:
        """Put a process in a slot: the successor that is starting already, or a new one."""
        slot.fill(slot.successor or self._spawn(slot), time.monotonic())

    def _spawn(self, slot: Slot[Process]) -> Process | None:
        try:
            process = Process(slot.number, self._options, self._env, servers=self._servers)
        except OSError as exc:
            log.error("process %d cannot be started: %s", slot.number, exc)
            return None
        self._processes.add(process)
        self._selector.register(process.control, selectors.EVENT_READ, process)
        return process

    def _do_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.is_due(now):
                self._fill(slot)
        for process in self._processes:
            if process.kill_at is not None and process.kill_at <= now:
                log.error("%r does not stop; killing it", process)
                process.kill()

    def _roll_on(self) -> None:
        """Start the successor of the next process; one at a time."""
        slot = next_to_replace(self._slots, self._roll)
        if slot is not None and (process := self._spawn(slot)) is not None:
            slot.succeed(process)

    def _stop(self, code: int = 0) -> None:
        """Ask all processes to stop, and start no more."""
        self._stopping = True
        self._code = self._code or code
        self._roll.clear()
        for slot in self._slots:
            slot.stop()
        for process in self._processes:
            process.stop(patience=patience(self._settings))
