"""CPU time of processes and all that descend from them, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["tree_cpu"]

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


def tree_cpu(roots: Iterable[int]) -> float:
    """Seconds of CPU of these processes and their descendants, those that ended included.

    Of a process with one thread to the nanosecond, of another to the tick. Hundreds of sessions
    that each do little in a window would be counted in ticks that they seldom reach.
    """
    stats = _read_all()
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    total = 0.0
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if (stat := stats.get(pid)) is not None:
            exact = _exact(pid) if stat.threads == 1 else None
            total += _TICK * stat.waited_for + (_TICK * stat.own if exact is None else exact)
            waiting += children.get(pid, ())
    return total


class _Stat(NamedTuple):
    parent: int
    own: int  # ticks
    waited_for: int  # ticks of children that have ended
    threads: int


def _read_all() -> dict[int, _Stat]:
    found: dict[int, _Stat] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            fields = text.rpartition(")")[2].split()
            user, system, their_user, their_system = map(int, fields[11:15])
            found[int(entry.name)] = _Stat(
                int(fields[1]), user + system, their_user + their_system, int(fields[17])
            )
    return found


def _exact(pid: int) -> float | None:
    """Seconds that the first thread of a process has run; None where the kernel does not say."""
    try:
        ran = int(Path("/proc", str(pid), "schedstat").read_text().split()[0])
    except OSError:
        return None
    return ran / 1e9 or None
