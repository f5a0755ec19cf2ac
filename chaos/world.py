"""What went on besides the jobs: it decides what a rule may excuse."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.windows import Windows

__all__ = ["World", "pid_of"]


@dataclass(slots=True)
class World:
    """What went on besides the jobs.

    ``faults``: from each strike until its effects must be over; ``at_large``: of those that may
    make any job run again; ``struck``: of the others, by the process that they strike.
    ``forgotten``: when what was acknowledged may have been lost with its server, by the nature of
    the arena. ``slow``: when a wake-up may come late for other reasons. ``calm``: when producers
    held back. ``fenced``: when each process said that its lease was lost. ``cancels``: the first
    honoured cancel of each job. ``scheduled``: the jobs that schedules made.
    """

    faults: Windows = field(default_factory=Windows)
    at_large: Windows = field(default_factory=Windows)
    struck: dict[int, Windows] = field(default_factory=dict)
    forgotten: Windows = field(default_factory=Windows)
    slow: Windows = field(default_factory=Windows)
    calm: Windows = field(default_factory=Windows)
    fenced: dict[str, list[float]] = field(default_factory=dict)
    last_lines: dict[str, float] = field(default_factory=dict)
    cancels: dict[int, tuple[float, str]] = field(default_factory=dict)
    retried: frozenset[int] = frozenset()
    scheduled: frozenset[int] = frozenset()
    quiet: bool = False
    honest_clocks: bool = True

    def excuses(self, process: str, begin: float, end: float) -> bool:
        """True if a fault in this time may make a job run again that this process ran."""
        own = self.struck.get(pid_of(process))
        return self.at_large.meet(begin, end) or (own is not None and own.meet(begin, end))


def pid_of(process: str) -> int:
    """Return the process id in the name under which a process writes its history."""
    return int(process.rsplit("-", 2)[1])
