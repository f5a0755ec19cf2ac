"""How long the machines of a worker wait. Tests hand in others; nobody else does.

Each relation between two of them is checked here. All are seconds, unless the name says otherwise.
What a stop takes stands in stop_times.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgqueue.config import WorkerSettings

__all__ = [
    "TIMINGS",
    "DutyTimings",
    "ReconcileTimings",
    "RescueTimings",
    "Timings",
    "WatchTimings",
]


@dataclass(frozen=True, slots=True)
class DutyTimings:
    """What one worker does for all."""

    check_every: float = 60.0  # the longest that a duty may be late
    history_every: float = 3600.0  # partitions are made days before they are needed
    retention_every: float = 600.0  # one day is over at a time, and is dropped whole
    orphans_every: float = 60.0  # how long jobs of nobody may lie


@dataclass(frozen=True, slots=True)
class WatchTimings:
    """The watchdog over connections and the worker's loop."""

    tick: float = 0.5  # from one look to the next
    tick_at_rest: float = 2.0  # hundreds of workers at rest should not wake for nothing
    blocked_after: float = 0.9  # without an answer the worker's loop counts as blocked
    rest_every: float = 60.0  # the pool closes what nobody was lent since the last time
    outcomes_rest_after: float = 60.0  # the connection is closed that nobody used for so long
    duties_rest_after: float = 10.0  # so is this one, which the heartbeat's can stand in for

    def __post_init__(self) -> None:
        # A loop that is asked answers before the next tick, unless it is blocked.
        assert self.blocked_after > self.tick
        assert self.tick <= self.tick_at_rest

    def tick_after(self, deadline: float, *, at_rest: bool) -> float:
        """Return the seconds until the next look.

        The ``deadline`` of a statement that begins meanwhile is four times as far away, if it is
        2 s or more.
        """
        return max(self.tick, min(self.tick_at_rest, deadline / 4)) if at_rest else self.tick


@dataclass(frozen=True, slots=True)
class RescueTimings:
    """Who looks for lost workers, and when it believes that one is."""

    confirm_after: float = 0.75  # a lost session may be away for so long
    lookers: float = 4  # so many workers of a fleet look in the time between two heartbeats


@dataclass(frozen=True, slots=True)
class ReconcileTimings:
    """The look for jobs that a worker holds without knowing it."""

    soon: float = 0.2  # until the next look while there is a doubt; then ever longer
    share: float = 20  # times as long as it took: looks take a twentieth of the time at most
    cheap_share: float = 2000  # times as long as it took, where it may be as rare as once a lease
    at_rest_every: float = 10.0  # of a worker that holds nothing, as far as it knows

    def __post_init__(self) -> None:
        assert self.share <= self.cheap_share or not self.cheap_share

    def pause(self, took: float, *, every: float, lease: float) -> float:
        """Return how long to wait after a look that took so long.

        A look is cheap beside ``every``, or becomes rarer, down to once a lease: all workers of a
        fleet walk over what all of them run.
        """
        return max(every, min(self.cheap_share * took, lease), self.share * took)


@dataclass(frozen=True, slots=True)
class Timings:
    """Those of all machines of one worker."""

    duties: DutyTimings = DutyTimings()
    watch: WatchTimings = WatchTimings()
    rescue: RescueTimings = RescueTimings()
    reconcile: ReconcileTimings = ReconcileTimings()


TIMINGS = Timings()

_SETTINGS = WorkerSettings()
# If the loop is blocked, and the worker was at rest just before, that is found out before
# statements are cut.
_WATCH = TIMINGS.watch
assert _SETTINGS.deadline > _WATCH.tick_at_rest + _WATCH.blocked_after + 2 * _WATCH.tick
# Else the session of a lost worker would tell nothing sooner than its lease.
assert _SETTINGS.lease > TIMINGS.rescue.confirm_after
