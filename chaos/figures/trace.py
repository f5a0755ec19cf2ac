"""What jobs write down as they begin and end, with the monotonic time, and how it is read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Event", "Trace", "note"]

HOME = "PGQUEUE_FIGURES_HOME"


@dataclass(frozen=True, slots=True)
class Event:
    """``what``: begin, end, act or acted. ``at``: seconds, monotonic, one clock for all."""

    what: str
    job: int
    pid: int
    token: int
    attempt: int
    at: float


def note(what: str, job: int, token: int, attempt: int) -> None:
    """Append a line, in the process that runs the job: one write, so that a kill leaves no half."""
    line = f"{what} {job} {os.getpid()} {token} {attempt} {time.monotonic():.6f}\n"
    fd = os.open(
        Path(os.environ[HOME]) / "trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    )
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


class Trace:
    """All events of a place so far, in the order in which they were written."""

    def __init__(self, home: Path) -> None:
        self._path = home / "trace"
        self._read = 0
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.decode().splitlines():
                what, job, pid, token, attempt, at = line.split()
                self._events.append(
                    Event(what, int(job), int(pid), int(token), int(attempt), float(at))
                )
        return self._events

    def begins(self, jobs: Iterable[int], *, since: float = 0.0) -> dict[int, list[Event]]:
        """The starts of each of these jobs after that moment."""
        found: dict[int, list[Event]] = {job: [] for job in jobs}
        for event in self.events():
            if event.what == "begin" and event.at > since and event.job in found:
                found[event.job].append(event)
        return found
