"""What each place of the library needs to be reached, and the cases of the matrix."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from pgqueue.failpoints import ACTIONS, POINTS

__all__ = ["PLANS", "Case", "Plan", "cases"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a place is reached: in which ``scene``, and at which of its visits at most to strike.

    ``naps`` are more jobs that wait, for what only happens once a queue has been full for a while.

    work        a worker on its own with jobs of each kind, some of them of a flow
    leave       the same, told to stop while jobs run
    corpse      the same, beside the jobs of a worker that was killed
    orphans     the same, and the row of the killed one is deleted
    supervisor  a supervisor, one of whose processes is killed
    schedules   the same as work, and schedules of each second
    producer    a process that enqueues
    migrator    a process that makes the tables
    """

    scene: str = "work"
    most: int = 1
    least: int = 1
    first: str = ""
    drain: float = 60.0
    naps: int = 0


_WORK = {
    "admit_jobs.after": Plan(most=5),
    "admit_jobs.before": Plan(most=5),
    "bury_flow_jobs.after": Plan(),
    "bury_flow_jobs.before": Plan(),
    "bury_jobs.after": Plan(),
    "bury_jobs.before": Plan(),
    "claim.received": Plan(most=3),
    "claim_jobs.after": Plan(most=3),
    "claim_jobs.before": Plan(most=3),
    "drop_history.after": Plan(),
    "ensure_history.after": Plan(),
    "find_held.after": Plan(first="claim_jobs.after:cut"),
    "finish_flow_jobs.after": Plan(most=3),
    "finish_flow_jobs.before": Plan(most=3),
    "finish_jobs.after": Plan(most=3),
    "finish_jobs.before": Plan(most=3),
    "job.ended": Plan(most=20),
    "job.starting": Plan(most=20),
    "lower_flags.after": Plan(naps=600),
    "promote_jobs.after": Plan(most=3),
    "promote_jobs.before": Plan(most=3),
    "raise_flags.after": Plan(),
    "register_worker.after": Plan(),
    "register_worker.before": Plan(),
    "renew_lease.after": Plan(most=3),
    "renew_lease.before": Plan(most=3),
    "release_flow_jobs.after": Plan(),
    "release_flow_jobs.before": Plan(),
    "release_jobs.after": Plan(),
    "release_jobs.before": Plan(),
    "take_duty.after": Plan(most=3),
    "take_leave.after": Plan(most=4),
    "take_leave.before": Plan(most=4),
    "thread_transaction.after_commit": Plan(most=3),
    "thread_transaction.before_commit": Plan(most=3),
    "transaction.after_commit": Plan(most=5),
    "transaction.before_commit": Plan(most=5),
    "transaction.before_finish": Plan(most=5),
    "wake_queues.before": Plan(),
}
PLANS = {
    **_WORK,
    "client.after": Plan("producer", most=8),
    "client.before": Plan("producer", most=8),
    "enqueue.before_commit": Plan("producer"),
    "find_orphans.after": Plan("orphans"),
    "fire_slots.after": Plan("schedules", most=4),
    "fire_slots.before": Plan("schedules", most=4),
    "lock_children.after": Plan("supervisor"),
    "lock_lost_worker.after": Plan("corpse"),
    "migrate.applied": Plan("migrator"),
    "migrate.committed": Plan("migrator"),
    "remove_worker.after": Plan("leave"),
    "remove_worker.before": Plan("leave"),
    "rescue_jobs.after": Plan("corpse"),
    "rewind_queues.before": Plan("corpse"),
    "supervisor.child_ended": Plan("supervisor"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the matrix."""

    point: str
    action: str

    @property
    def plan(self) -> Plan:
        return PLANS[self.point]

    def failpoint(self, rng: random.Random) -> str:
        """What is armed, at a visit that is drawn."""
        plan = self.plan
        own = f"{self.point}:{self.action}@{rng.randint(plan.least, plan.most)}"
        return f"{plan.first},{own}" if plan.first else own

    def __str__(self) -> str:
        return f"{self.point}-{self.action}"


def cases(points: Iterable[str] = ()) -> list[Case]:
    """The cells of these places; of all, if none is named."""
    return [
        Case(point, action)
        for point in (list(points) or sorted(POINTS))
        for action in ACTIONS
        if action != "cut" or POINTS[point]
    ]
