"""Every defect, with the torture that exposes it and the invariants that must tell of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chaos.arena import Fault
from chaos.faults.processes import Freeze
from chaos.kinds import RARE, STEADY
from chaos.mutants import machines, statements
from chaos.plan import Step
from chaos.setup import Setup
from chaos.torture import CATALOGUE

__all__ = ["FAULTS", "MUTANTS", "Mutant", "setup_of"]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """``apply`` puts it into a process. ``by``: invariants, one of which has to be violated."""

    apply: Callable[[], None]
    by: frozenset[str]
    seconds: float = 3.0
    plan: tuple[Step, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.apply.__name__.replace("_", "-")

    @property
    def about(self) -> str:
        return (self.apply.__doc__ or "").strip()


def _strikes(name: str, *times: float) -> tuple[Step, ...]:
    return tuple(Step(at, (name,)) for at in times)


def _mutant(
    apply: Callable[[], None],
    *by: str,
    seconds: float = 3.0,
    plan: tuple[Step, ...] = (),
    **changes: Any,
) -> Mutant:
    return Mutant(apply=apply, by=frozenset(by), seconds=seconds, plan=plan, changes=changes)


_CALM = Step(1.5)
_STOPS = _strikes("stop", 1.0, 2.5)
_NAPS = {"nap": 15.0, "noop": 85.0}
_CROWD = {"shares": {"crowd": 100.0}}
_LEDGER = {"shares": {"ledger": 100.0}, "pause": 0.1, "bulk": 4}
_NARROW = {"shares": {"narrow": 100.0}, "backlog": 40}
_PACED = {"shares": {"paced": 100.0}}
_TICKING = {"programs": ("scheduler",)}

_ALL = (
    _mutant(
        statements.fence_dropped, "I6", "I11", "I3",
        seconds=10.5, plan=_strikes("zombie", 0.7, 5.8), shares=_NAPS, nap=6.0, drain=8.0,
    ),
    _mutant(statements.attempt_not_counted, "I7"),
    _mutant(statements.claim_steals, "I5"),
    _mutant(statements.attempt_burnt, "I7", plan=_STOPS, shares=_NAPS, concurrency=5),
    _mutant(statements.snooze_counts, "I7"),
    _mutant(statements.promoted_early, "I12"),
    _mutant(statements.eager_rescue, "I4", seconds=9.0, shares=_NAPS),
    _mutant(statements.history_lost, "I1"),
    _mutant(statements.slots_passed, "I13", seconds=5.0, **_TICKING),
    _mutant(statements.slots_early, "I13", seconds=5.0, **_TICKING),
    _mutant(statements.slots_doubled, "I13", seconds=8.0, **_TICKING),
    _mutant(statements.slots_uncounted, "I24", **_CROWD),
    _mutant(statements.flow_promoted, "I28", "I24", **_CROWD),
    _mutant(statements.place_lost, "I29", seconds=5.0, **_LEDGER),
    _mutant(statements.tickets_lost, "I1", **_CROWD),
    _mutant(statements.permits_ignored, "I32", **_NARROW),
    _mutant(statements.permits_uncounted, "I31", **_NARROW),
    _mutant(machines.busy_unsaid, "I32", **_NARROW),
    _mutant(statements.tokens_ignored, "I33", seconds=5.0, **_PACED),
    _mutant(machines.tokens_returned, "I33", seconds=5.0, **_PACED),
    _mutant(statements.crash_not_counted, "I7", plan=_strikes("kill-child", 1.0), shares=_NAPS),
    _mutant(machines.stragglers_passed, "I1", "I18", seconds=6.0),
    _mutant(machines.wake_up_lost, "I1", "I18", seconds=8.0, plan=(_CALM,), calm_seconds=6.0),
    _mutant(
        machines.no_relisten, "I18",
        seconds=15.0, plan=(*_strikes("reset", 0.5), Step(7.0)), calm_seconds=7.0,
    ),
    _mutant(machines.batch_dropped, "I1", seconds=6.0, plan=_strikes("hold-rows", 1.0)),
    _mutant(machines.no_ladder, "I1", "I16"),
    _mutant(machines.client_clock, "I12"),
    _mutant(
        machines.heartbeat_on_loop, "I4",
        seconds=8.0, shares=_NAPS, rare={**STEADY, "block": 30.0},
        settings={"grace": 1.0, "lease": 1.2, "heartbeat": 0.3},
    ),
    _mutant(machines.unique_ignored, "I10", shares={"once": 100.0}),
    _mutant(
        machines.cancel_lost, "F45", seconds=11.0, rare={**STEADY, "doomed": 120.0},
        programs=("canceller",),
    ),
    _mutant(
        machines.effect_outside, "I11",
        seconds=7.0, plan=_strikes("kill-child", 1.5, 3.0, 4.5), shares={"effect": 100.0},
    ),
    _mutant(machines.completed_early, "I6", shares=_NAPS),
    _mutant(machines.release_lost, "I1", "I20", plan=_STOPS, shares=_NAPS, concurrency=5),
    _mutant(machines.no_rescue, "I1", plan=_strikes("kill-child", 1.0), shares=_NAPS),
    _mutant(machines.waiting_blamed, "I15", plan=_strikes("kill-child", 0.6, 1.6, 2.6)),
    _mutant(machines.token_reused, "I5"),
    _mutant(machines.strays_kept, "I27", seconds=5.0, plan=_strikes("stray-claim", 1.0, 2.0, 3.0)),
    _mutant(
        # By those whose enqueues commit by themselves: in a transaction, a lost one is not there.
        machines.unknown_as_failed, "I2",
        seconds=6.0, plan=_strikes("cut-after-enqueue", 1.0, 2.5, 4.0),
        producers=("async", "bulk"), shares=_NAPS, rare=STEADY,
    ),
)  # fmt: skip

FAULTS: Mapping[str, Callable[[], Fault]] = {
    **CATALOGUE,
    # Back while those who have taken its jobs over are still at them.
    "zombie": partial(Freeze, 1.4, 1.5),
}

MUTANTS: Mapping[str, Mutant] = {mutant.name: mutant for mutant in _ALL}


def setup_of(mutant: Mutant | None, *, seed: int = 1) -> Setup:
    """Return a small workload: a few hundred jobs a second, and little patience at the end."""
    values: dict[str, Any] = {
        "seconds": 5.0,
        "seed": seed,
        "supervisors": 1,
        "processes": 2,
        "producers": ("tx", "bulk"),
        "programs": (),
        "concurrency": 20,
        "pause": 0.02,
        "bulk": 40,
        "backlog": 120,
        "rare": {**RARE, "doomed": 0.0, "exit": 0.0, "block": 0.0},
        "settings": {"grace": 1.0},
        "settle": 0.5,
        "drain": 10.0,
        "look": 0.0,
    }
    if mutant is not None:
        values |= {"seconds": mutant.seconds, "drain": 5.0, "mutant": mutant.name}
        values |= mutant.changes
    return Setup(**values)
