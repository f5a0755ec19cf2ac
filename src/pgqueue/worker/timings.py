"""How long the machines of a worker wait. Tests hand in others; nobody else does.

Each relation between two of them is checked here. All are seconds, unless the name says otherwise.
The times of a stop come from stop_times.py, which has their relations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pgqueue.config import WorkerSettings
from pgqueue.worker.put_off import PUT_OFF, PutOff
from pgqueue.worker.stop_times import ASIDE_SECONDS, CANCEL_SECONDS, WRITE_SECONDS
from pgqueue.worker.vacuum_plan import VacuumTimings

__all__ = [
    "FLOW_TIMINGS",
    "TIMINGS",
    "AgeTimings",
    "DepthTimings",
    "DueTimings",
    "DutyTimings",
    "EarTimings",
    "FiringTimings",
    "FlowTimings",
    "IdleTimings",
    "OverloadTimings",
    "PlanTimings",
    "ReconcileTimings",
    "RescueTimings",
    "StopTimings",
    "Timings",
    "WatchTimings",
    "WriteTimings",
]


@dataclass(frozen=True, slots=True)
class OverloadTimings:
    """When a worker claims less than it has slots for, and when more again."""

    lag: float = 0.5  # the loop took so long to answer: a busy machine alone is quicker
    bad_looks: int = 3  # in a row, for a burst is no overload
    good_looks: int = 4  # in a row: more slots are tried slowly

    def __post_init__(self) -> None:
        assert self.bad_looks <= self.good_looks


@dataclass(frozen=True, slots=True)
class AgeTimings:
    """When a claim begins below the first priority."""

    after: float = 5.0  # priorities are strict for so long
    every: int = 16  # then one of so many claims begins below
    most: float = 60.0  # where claims are rare, a lower priority waits for so long
    least: int = 4  # and for so many claims, so that higher ones keep most

    def __post_init__(self) -> None:
        assert self.after < self.most
        assert self.least < self.every


@dataclass(frozen=True, slots=True)
class PlanTimings:
    """When queues are looked back on, and how far."""

    near: float = 0.25  # how far claims look back in a full queue: most commits are no later
    far: float = 2.0  # how far they look back when a claim came back short
    memory: float = 2.5  # cursors are remembered for so long
    memory_step: float = 0.05  # what is remembered may be so much younger than it says
    lag_every: float = 0.5  # a queue that is never short is looked back on so often
    lag_spacing: float = 0.02  # from one look back to the next, at the least
    lag_share: float = 10  # times as long as it took: looks back take a share of the time only
    long_walk: float = 0.01  # a look that found nothing and took so long walks over what is dead
    long_probes: float = 0.001  # so much longer for each queue
    step_every: float = 1.0  # from one step over what is dead to the next
    ages: AgeTimings = AgeTimings()
    overload: OverloadTimings = OverloadTimings()

    def __post_init__(self) -> None:
        # Else a look would begin later than it says.
        assert self.near < self.far <= self.memory - self.memory_step
        assert self.lag_spacing < self.lag_every


@dataclass(frozen=True, slots=True)
class DueTimings:
    """When the promoter looks for jobs that will be due."""

    tick: float = 0.005  # due times are rounded up to these
    look_every: float = 1.0  # while nobody notifies
    look_again_after: float = 1.0  # after a flag is up, for enqueues that read it before
    look_after_promotion: float = 0.02  # of delays that come together the shortest alone is told
    look_after_none: float = 1.0  # a job is due, and somebody else holds its row
    longest_rest: float = 3600.0  # if nothing will be due
    from_ever_every: float = 30.0  # jobs may be committed late, and be due before all that was seen

    def __post_init__(self) -> None:
        assert self.tick < self.look_after_promotion < self.look_every


@dataclass(frozen=True, slots=True)
class FlowTimings:
    """When flows are looked at again."""

    busy_first: float = 0.001  # another worker is at it; then 2, 4, ... ms
    busy_most: float = 0.25
    late_most: float = 1.0  # so much later comes who is never first, at the most
    refused: float = 10.0  # the database refuses to admit jobs of it
    search_spacing: float = 0.02  # from one search for tickets to the next, at the least
    search_share: float = 20  # times as long as it took: searches take a share of the time only

    def __post_init__(self) -> None:
        assert self.busy_first < self.busy_most <= self.late_most < self.refused


@dataclass(frozen=True, slots=True)
class EarTimings:
    """How a worker finds out whether it hears notifications."""

    every: float = 60.0  # without a notification for so long, it has a word sent
    bound: float = 2.0  # a word that is not heard by then is missed
    unheard: int = 2  # so many missed words in a row, and it is deaf

    def __post_init__(self) -> None:
        # Who is deaf knows before it would send another word.
        assert self.unheard * self.bound < self.every


@dataclass(frozen=True, slots=True)
class WriteTimings:
    """How long an outcome waits for its next try that could not be written by itself."""

    locked: float = ASIDE_SECONDS  # somebody holds the lock of its row
    refused: float = 10.0  # the database refuses it, and will go on to, most likely


@dataclass(frozen=True, slots=True)
class StopTimings:
    """What a stop waits for; the other parts of it are not for tests to change."""

    cancel: float = CANCEL_SECONDS  # cancelled jobs end by then, or count as stuck
    write: float = WRITE_SECONDS  # outcomes are written by then, at the least
    roll_back: float = 4.0  # of a job's transaction; then its connection is ended
    countdown: float = 5.0  # the log says so often which jobs a stop waits for


@dataclass(frozen=True, slots=True)
class DepthTimings:
    """How often the ready jobs of queues with a max_depth are counted."""

    every: float = 1.0  # so soft is a max_depth
    share: float = 20  # times as long as it took: counts take a twentieth of the time at most
    others_every: float = 5.0  # so late another worker counts if the one that did so died
    unwanted_every: float = 60.0  # no queue has a max_depth; all are told when one gets it
    forget_every: float = 60.0  # what was released below the floors is counted again

    def __post_init__(self) -> None:
        assert self.every < self.others_every < self.unwanted_every


@dataclass(frozen=True, slots=True)
class DutyTimings:
    """What one worker does for all."""

    check_every: float = 60.0  # so often, at the least, a worker asks what is due
    history_every: float = 3600.0  # partitions are made days before they are needed
    retention_every: float = 600.0  # one day is over at a time, and is dropped whole
    orphans_every: float = 60.0  # how long jobs of nobody may lie
    lines_every: float = 60.0  # how long jobs that somebody's own SQL put in line may lie
    depths: DepthTimings = DepthTimings()
    vacuum: VacuumTimings = field(default_factory=VacuumTimings)


@dataclass(frozen=True, slots=True)
class FiringTimings:
    """When schedules are looked at again."""

    look_again: float = 1.0  # somebody else was firing one; it may have died over it
    left_out: float = 30.0  # one that cannot be fired is tried again after so long
    code_slow: float = 10.0  # the log says so of a function that gives arguments
    batch_slow: float = 10.0  # a batch whose jobs are not made by then is left out
    orphan_after: float = 60.0  # what is due for so long, and in no worker's code, is an orphan
    orphans_every: float = 60.0  # so often a worker looks for orphans, at the most


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

    soon: float = 0.2  # until the next look while something is in doubt; then ever longer
    share: float = 20  # times as long as it took: looks take a twentieth of the time at most
    cheap_share: float = 2000  # times as long as it took, where it may be as rare as once a lease
    at_rest_every: float = 10.0  # of a worker that holds nothing, as far as it knows, beside few

    def __post_init__(self) -> None:
        assert self.share <= self.cheap_share

    def pause(self, took: float, *, every: float, lease: float) -> float:
        """Return how long to wait after a look that took so long.

        A look is cheap beside ``every``, or becomes rarer, down to once a lease: all workers of a
        fleet walk over what all of them run.
        """
        return max(every, min(self.cheap_share * took, lease), self.share * took)


@dataclass(frozen=True, slots=True)
class IdleTimings:
    """How often a worker that ends once it is idle asks whether it is."""

    first: float = 0.01  # an outcome is written about so soon
    most: float = 0.5  # while jobs run elsewhere

    def __post_init__(self) -> None:
        assert self.first < self.most


@dataclass(frozen=True, slots=True)
class Timings:
    """Those of all machines of one worker."""

    plan: PlanTimings = PlanTimings()
    due: DueTimings = DueTimings()
    ears: EarTimings = EarTimings()
    unknown_every: float = 60.0  # tasks that it does not know are looked for
    put_off: PutOff = PUT_OFF
    misfits: tuple[float, ...] = (30.0, 120.0, 600.0, 3600.0)  # after the first, the second, ...
    writes: WriteTimings = WriteTimings()
    stop: StopTimings = StopTimings()
    duties: DutyTimings = DutyTimings()
    firing: FiringTimings = FiringTimings()
    watch: WatchTimings = WatchTimings()
    rescue: RescueTimings = RescueTimings()
    reconcile: ReconcileTimings = ReconcileTimings()
    idle: IdleTimings = IdleTimings()


TIMINGS = Timings()
FLOW_TIMINGS = FlowTimings()

_SETTINGS = WorkerSettings()
# If the loop is blocked, and the worker was at rest just before, that is found out before
# statements are cut.
_WATCH = TIMINGS.watch
assert _SETTINGS.deadline > _WATCH.tick_at_rest + _WATCH.blocked_after + 2 * _WATCH.tick
# A job that was told to end can have ended by then.
assert TIMINGS.stop.roll_back < TIMINGS.stop.cancel
# Else the session of a lost worker would tell nothing sooner than its lease.
assert _SETTINGS.lease > TIMINGS.rescue.confirm_after
