"""A system as it comes, and at its kindest: vacuumed, and with the settings a sweep found best.

A table that was filled a moment ago has never been vacuumed or analysed: a plan may be wrong for
it, and each row is checked for whether it can be seen. In use autovacuum does both in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bench import Bench, Run
from benchmarks.rows import Row, median, row
from benchmarks.systems.base import System
from benchmarks.systems.redis import RedisSystem

__all__ = ["AS_IT_COMES", "KINDEST", "Manner", "manners", "ratio_to_peer"]


@dataclass(frozen=True, slots=True)
class Manner:
    """``suffix`` is for the names of figures."""

    suffix: str
    kind: bool

    def prepare(self, run: Run) -> None:
        """Do what is done between the enqueue and the start of the workers."""
        if self.kind:
            run.database.execute("vacuum analyze")

    def settings(self, system: System) -> dict[str, str]:
        return dict(system.kindest) if self.kind else {}


AS_IT_COMES = Manner("", kind=False)
KINDEST = Manner(", kindest", kind=True)


def manners(bench: Bench, system: System) -> Sequence[Manner]:
    """How a system is measured; of Redis there is nothing to vacuum."""
    if isinstance(system, RedisSystem) or bench.as_they_come:
        return (AS_IT_COMES,)
    return (AS_IT_COMES, KINDEST)


def ratio_to_peer(
    rows: Sequence[Row], figure: str, peer: str, target: str, *, kindest: bool = False
) -> list[Row]:
    """Make a row of pgqueue's figure, as it comes, to that of a peer.

    With ``kindest`` to the better of the peer's two.
    """
    of = {(row.system, row.figure): row.samples for row in rows if row.value is not None}
    mine = of.get(("pgqueue", figure))
    if not mine:
        return []
    workload = rows[0].workload
    name = f"{figure} / {peer}" + (KINDEST.suffix if kindest else "")
    asked = (figure, figure + KINDEST.suffix) if kindest else (figure,)
    theirs = [median(of[peer, one]) for one in asked if (peer, one) in of]
    if len(theirs) < len(asked):
        return [row(workload, "pgqueue", name, None, "x", target, f"{peer} was not measured")]
    return [row(workload, "pgqueue", name, median(mine) / max(theirs), "x", target)]
