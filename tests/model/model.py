"""What the statements should do, in plain Python: jobs, workers, and the results permitted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

__all__ = ["CAP", "KEY", "LIVE", "OLD", "OPS", "Job", "Transaction", "World", "permitted"]

CAP = 3
KEY = "key"
OLD = "old"
LIVE = ("scheduled", "pending", "running")


@dataclass(frozen=True)
class Job:
    """One job. ``place``: where it stands among the ready ones, its old place or a new one."""

    state: str
    key: str | None = None
    due: bool = True
    place: str = ""
    attempt: int = 0
    crashes: int = 0
    errors: int = 0
    token: Hashable = None
    worker: Hashable = None
    asked: bool = False
    quarantined: bool = False

    def __repr__(self) -> str:
        """What is not as in a new job."""
        rest = [
            f"{f.name}={v!r}" for f in fields(self)[2:] if (v := getattr(self, f.name)) != f.default
        ]
        return f"<{' '.join([self.state, *rest])}>"


@dataclass
class World:
    """Jobs by name; workers that are registered, with whether their lease ran out."""

    jobs: dict[Any, Job] = field(default_factory=dict[Any, Job])
    workers: dict[Any, bool] = field(default_factory=dict[Any, bool])
    cap: int = CAP

    def copy(self) -> World:
        return World(dict(self.jobs), dict(self.workers), self.cap)

    def frozen(self) -> Hashable:
        return frozenset(self.jobs.items()), frozenset(self.workers.items())

    def names(self, *states: str) -> list[Any]:
        return [name for name, job in self.jobs.items() if job.state in states]

    def holder(self, key: str | None) -> Any:
        """The live job of this key."""
        fit = [n for n in self.names(*LIVE) if key is not None and self.jobs[n].key == key]
        return fit[0] if fit else None

    def change(self, name: Any, **changes: Any) -> None:
        self.jobs[name] = replace(self.jobs[name], **changes)

    def end(self, name: Any, state: str, **changes: Any) -> None:
        self.change(
            name, state=state, place="", asked=False, quarantined=False, due=True, **changes
        )

    def let_go(self, name: Any, state: str, **changes: Any) -> None:
        self.change(name, state=state, token=None, worker=None, quarantined=False, **changes)

    def held(self, name: Any, token: Hashable) -> bool:
        """Whether this receipt is good."""
        job = self.jobs[name]
        return job.state == "running" and job.token == token

    # -- what the statements do

    def enqueue(self, name: Any, key: str | None, *, later: bool = False) -> tuple[Any, bool, str]:
        """Return whose job it is, whether it was there before, and its state."""
        owner = self.holder(key)
        if owner is not None:
            return owner, True, self.jobs[owner].state
        place = "" if later else "new"
        self.jobs[name] = Job("scheduled" if later else "pending", key, not later, place)
        return name, False, self.jobs[name].state

    def promote(self, name: Any) -> bool:
        fit = self.jobs[name].state == "scheduled" and self.jobs[name].due
        if fit:
            self.change(name, state="pending", place="new")
        return fit

    def claim(self, name: Any, worker: Hashable, token: Hashable) -> bool:
        fit = self.jobs[name].state == "pending"
        if fit:
            attempt = self.jobs[name].attempt + 1
            self.change(name, state="running", attempt=attempt, token=token, worker=worker)
        return fit

    def finish(self, name: Any, token: Hashable, state: str) -> bool:
        good = self.held(name, token)
        if good:
            self.end(name, state)
        return good

    def release(self, name: Any, token: Hashable, *, failed: bool, later: bool) -> bool:
        good = self.held(name, token) and not self.jobs[name].asked
        if good:
            job = self.jobs[name]
            self.let_go(
                name,
                "scheduled" if later else "pending",
                place="" if later else job.place,
                due=not later,
                attempt=job.attempt - (not failed),
                errors=job.errors + failed,
            )
        return good

    def bury(self, name: Any, token: Hashable) -> bool:
        good = self.held(name, token) and not self.jobs[name].asked
        if good:
            self.end(name, "dead", errors=self.jobs[name].errors + 1)
        return good

    def cancel(self, name: Any) -> tuple[bool, bool] | None:
        """Return whether it runs and whether it was asked before; None if it is not live."""
        job = self.jobs[name]
        if job.state == "running":
            self.change(name, asked=True)
            return True, job.asked
        if job.state in LIVE:
            self.end(name, "cancelled")
            return False, False
        return None

    def make_ready(self, name: Any, *states: str) -> bool:
        """An operator's retry: of a scheduled, dead or cancelled job."""
        job = self.jobs[name]
        if job.state not in states or (job.state not in LIVE and self.holder(job.key) is not None):
            return False
        if job.state == "scheduled":
            self.change(name, state="pending", place="new", due=True)
        else:
            self.jobs[name] = Job("pending", job.key, place="new", errors=job.errors)
        return True

    def rescue(
        self, worker: Hashable, skipped: Iterable[Any] = (), *, blame: bool = True
    ) -> dict[Any, str]:
        """Return the fate of each job that this worker held."""
        held = {n: self.jobs[n] for n in self.names("running") if self.jobs[n].worker == worker}
        held = {n: job for n, job in held.items() if n not in set(skipped)}
        quarantined = any(job.quarantined for job in held.values())
        fates: dict[Any, str] = {}
        for name, job in held.items():
            blamed = blame and (job.quarantined or (job.crashes < 2 and not quarantined))
            counts = {"crashes": job.crashes + blamed, "errors": job.errors + blamed}
            if job.asked:
                self.end(name, "cancelled")
            elif counts["crashes"] >= self.cap and blamed:
                self.end(name, "dead", **counts)
            else:
                self.let_go(name, "pending", attempt=job.attempt - (not blamed), **counts)
            fates[name] = {"pending": "rescued"}.get(self.jobs[name].state, self.jobs[name].state)
        self.workers.pop(worker, None)
        return fates


# -- one transaction each, over all jobs: of the session ``me``. What comes back is its answer.

Answer = frozenset[tuple[Any, Any]]
Verb = Callable[[World, str, str], Mapping[Any, Any]]


def _each(world: World, verb: Callable[[Any], Any]) -> dict[Any, Any]:
    """Of the jobs that were there at the start: the others have ids that nobody named."""
    names = [OLD] if OLD in world.jobs else []
    return {n: said for n in names if (said := verb(n)) not in (None, False, "")}


def _or_cancelled(world: World, name: Any, verb: str, **how: Any) -> str:
    """What is refused was asked to stop, which ends it; or its lease is lost."""
    if getattr(world, verb)(name, "T", **how):
        return "written"
    return "cancelled" if world.finish(name, "T", "cancelled") else ""


def _claim(world: World, me: str, skip: str) -> dict[Any, Any]:
    taken = [] if skip else [n for n in list(world.jobs) if world.claim(n, me, me)]
    return {name: world.jobs[name].attempt for name in taken}


def _heartbeat(world: World, me: str, skip: str) -> dict[Any, Any]:
    if "W" not in world.workers:
        return {"W": False}
    world.workers["W"] = False
    mine = [
        n for n, j in world.jobs.items() if (j.state, j.worker, j.asked) == ("running", "W", True)
    ]
    return {"W": True} | dict.fromkeys(mine, "asked")


def _rescue(world: World, me: str, skip: str) -> dict[Any, Any]:
    if skip == "worker" or not world.workers.get("W"):
        return {}
    return world.rescue("W", world.jobs if skip == "job" else ())


def _enqueue(world: World, me: str, skip: str) -> dict[Any, Any]:
    owner, *said = world.enqueue(me, KEY)
    return {owner: tuple(said)}


def _ready(*states: str) -> Verb:
    return lambda w, me, skip: _each(w, lambda name: w.make_ready(name, *states))


def _retention(world: World, me: str, skip: str) -> dict[Any, Any]:
    for name in [n for n, job in world.jobs.items() if job.place == "aged" and not skip]:
        del world.jobs[name]
    return {}


OPS: dict[str, Verb] = {
    "claim": _claim,
    "heartbeat": _heartbeat,
    "complete": lambda w, me, skip: _each(w, lambda n: w.finish(n, "T", "completed")),
    "fail": lambda w, me, skip: _each(
        w, lambda n: _or_cancelled(w, n, "release", failed=True, later=True)
    ),
    "bury": lambda w, me, skip: _each(w, lambda n: _or_cancelled(w, n, "bury")),
    "release": lambda w, me, skip: _each(
        w, lambda n: _or_cancelled(w, n, "release", failed=False, later=False)
    ),
    "rescue": _rescue,
    "cancel": lambda w, me, skip: _each(w, w.cancel),
    "ready": _ready("scheduled"),
    "redrive": _ready("dead"),
    "revive": _ready("cancelled"),
    "promote": lambda w, me, skip: {} if skip else _each(w, w.promote),
    "enqueue": _enqueue,
    "replace": _enqueue,
    "history": lambda w, me, skip: {},
    "retention": _retention,
}
# What a statement may pass over while another transaction has it locked.
SKIPS = {
    "claim": ("job",),
    "promote": ("job",),
    "rescue": ("worker", "job"),
    "retention": ("duty",),
}


class Transaction(NamedTuple):
    """``began``: when it took the snapshot that it first saw the tables in; ``first``: in its first
    try, which may have been rolled back, and whose locks others may have skipped."""

    me: str
    op: str
    began: int
    ended: int
    first: int


def permitted(start: World, done: Sequence[Transaction]) -> set[tuple[Hashable, Hashable]]:
    """Every end of ``start``, with what each transaction answers, that some serial order gives.

    The order keeps to the clock: what had ended before another began comes first. Of two at the
    same time, either is first, and what skips locked rows may have skipped what the other changed.
    """
    results: set[tuple[Hashable, Hashable]] = set()
    for order in itertools.permutations(done):
        if any(b.ended < a.began for a, b in itertools.combinations(order, 2)):
            continue
        choices = [("", *SKIPS.get(each.op, ())) for each in order]
        for skips in itertools.product(*choices):
            world, answers, touched = start.copy(), dict[str, Answer](), set[str]()
            for each, skip in zip(order, skips, strict=True):
                before = world.frozen()
                said = OPS[each.op](world, each.me, skip)
                answers[each.me] = frozenset(said.items())
                if before != world.frozen() or said or len(done) > 2:
                    touched.add(each.me)
            if all(
                not skip or any(_overlap(each, o) and o.me in touched for o in done if o != each)
                for each, skip in zip(order, skips, strict=True)
            ):
                results.add((world.frozen(), frozenset(answers.items())))
    return results


def _overlap(one: Transaction, other: Transaction) -> bool:
    return one.first < other.ended and other.first < one.ended
