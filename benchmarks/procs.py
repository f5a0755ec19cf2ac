"""CPU time of processes and all that descend from them, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["tree_cpu"]

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


def tree_cpu(roots: Iterable[int]) -> float:
    """Seconds of CPU of these processes and their descendants, those that ended included."""
    stats = _read_all()
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    total = 0
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            total += stats[pid][1]
            waiting += children.get(pid, ())
    return total * _TICK


def _read_all() -> dict[int, tuple[int, int]]:
    """Parent and ticks of each process: its own, and those of children that it has waited for."""
    found: dict[int, tuple[int, int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            fields = text.rpartition(")")[2].split()
            found[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return found
