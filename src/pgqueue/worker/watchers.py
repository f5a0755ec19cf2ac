"""Who watches a worker from outside: its supervisor, and the guard of its process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pgqueue.worker.guard import Guard
from pgqueue.worker.running_jobs import RunningJobs

__all__ = ["Phase", "Watchers"]

Phase = Literal["registered", "started", "retiring", "idle"]


@dataclass(frozen=True, slots=True)
class Watchers:
    """``on_phase``: told how far the worker is. ``running_jobs``: shows which jobs run.

    ``guard``: ends the process if a stop does not end in time.
    """

    on_phase: Callable[[Phase], None] | None = None
    running_jobs: RunningJobs | None = None
    guard: Guard | None = None

    def enter(self, phase: Phase) -> None:
        """Tell how far the worker is."""
        if self.on_phase is not None:
            self.on_phase(phase)

    def ask(self) -> None:
        """Tell that a stop was asked for."""
        if self.guard is not None:
            self.guard.ask()

    def jobs_over(self) -> None:
        """Tell that no job is waited for any more."""
        if self.guard is not None:
            self.guard.jobs_over()
