"""The rules for queues with limits: permits (I31), who runs how many (I32), and rates (I33).

Who takes permits of a queue holds a lock until its commit, so the order of their versions is
certain. With each version stands the limit that counted then. A run counts until it ends, or until
its claim does: a worker that was lost to the others may run on for a while.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from chaos.findings import Findings
from chaos.windows import Windows
from chaos.world import World

__all__ = ["Grant", "Pace", "Spell", "check_permits", "judge_pace", "judge_permits", "judge_spells"]

_GRANTS = """
select extract(epoch from at)::float8 - $1::float8 as at, queue, worker, n, most
from chaos.permit order by seq
"""
_SPELLS = """
select run.job, claim.worker, run.process, run.t0, run.t1,
       (select extract(epoch from min(later.at))::float8 - $1::float8 from chaos.audit as later
        where later.job = run.job and later.seq > claim.seq
          and (later.op = 'd' or later.token is distinct from claim.token)) as ended
from chaos.run
     join lateral (select seq, worker, token from chaos.audit
                   where job = run.job and op = 'u' and token = run.token
                   order by seq limit 1) as claim on true
where run.kind = 'narrow'
"""
_PACES = """
select extract(epoch from at)::float8 - $1::float8 as at, rate, burst
from chaos.token where queue = 'paced' order by seq
"""
_STARTS = "select t0 from chaos.run where kind = 'paced' order by t0"

_EPSILON = 0.1  # between the clock of the server and that of processes
_AFTER_LOSS = 6.0  # a server took grants back: until the next heartbeat was answered
_LATE = 0.75  # a token may be used for 0.25 s; the rest is the loop's
_LOOK_BACK = 1.5


@dataclass(frozen=True, slots=True)
class Grant:
    """A version of a worker's permits: ``n`` of them, where ``most`` was the limit.

    Without a ``queue``: the worker is gone, and its permits are void.
    """

    at: float
    queue: str | None
    worker: int
    n: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Spell:
    """For how long a job counted as running on a worker."""

    job: int
    worker: int
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What the rate was when somebody took tokens."""

    at: float
    rate: float | None
    burst: int | None


async def check_permits(
    connection: asyncpg.Connection, offset: float, world: World, findings: Findings
) -> None:
    """Apply the rules to the queues with limits."""
    grants = [Grant(**row) for row in await connection.fetch(_GRANTS, offset)]
    judge_permits(grants, findings)
    if world.honest_clocks:
        rows = await connection.fetch(_SPELLS, offset)
        spells = [spell for row in rows if (spell := _spell(row, world.last_lines)) is not None]
        judge_spells(spells, grants, world.forgotten, findings)
        paces = [Pace(**row) for row in await connection.fetch(_PACES, offset)]
        starts = [row["t0"] for row in await connection.fetch(_STARTS)]
        judge_pace(starts, paces, world.slow, world.forgotten, findings)


def _spell(row: Mapping[str, object], last_lines: Mapping[str, float]) -> Spell | None:
    begin, end = row["t0"], row["t1"]
    assert isinstance(begin, float)
    if end is None:  # it was killed: it lived until its last line at least
        end = last_lines.get(str(row["process"]), begin)
    ended = row["ended"]
    if isinstance(ended, float):
        end = min(end, ended - _EPSILON)  # type: ignore[type-var]
    assert isinstance(end, float)
    if end <= begin:
        return None
    return Spell(row["job"], row["worker"], begin, end)  # type: ignore[arg-type]


def judge_permits(grants: Iterable[Grant], findings: Findings) -> None:
    """I31: who gets more permits gets none beyond the limit. One that was lowered a moment ago may
    not count yet for the one that takes some meanwhile. No fault excuses."""
    held: dict[str, Counter[int]] = {}
    before: dict[str, int | None] = {}
    for grant in grants:
        if grant.queue is None:
            for of_queue in held.values():
                of_queue.pop(grant.worker, None)
            continue
        mine = held.setdefault(grant.queue, Counter())
        most = grant.most
        last = before.get(grant.queue, most)
        before[grant.queue] = most
        if grant.n > mine[grant.worker]:
            findings.counts["permits"] += 1
            total = mine.total() - mine[grant.worker] + grant.n
            if most is not None and last is not None and total > max(most, last):
                findings.violate(
                    "I31",
                    f"worker {grant.worker} got {grant.n} permits of {grant.queue}, "
                    f"which makes {total} of {max(most, last)}",
                )
        mine[grant.worker] = grant.n


def judge_spells(
    spells: Sequence[Spell], grants: Iterable[Grant], forgotten: Windows, findings: Findings
) -> None:
    """I32: a worker runs no more jobs than it has permits. Excused where a server took back what
    it had acknowledged."""
    steps: dict[int, list[tuple[float, int]]] = {}
    for grant in grants:
        if grant.queue is None or grant.queue == "narrow":
            steps.setdefault(grant.worker, []).append((grant.at, grant.n))
    of_worker: dict[int, list[Spell]] = {}
    for spell in sorted(spells, key=lambda one: one.begin):
        of_worker.setdefault(spell.worker, []).append(spell)
    for of_one in steps.values():
        of_one.sort()  # a transaction that waited for another's may have begun before it
    for worker, mine in of_worker.items():
        running: list[Spell] = []
        for spell in mine:
            running = [one for one in running if one.end > spell.begin]
            running.append(spell)
            may = _most_within(steps.get(worker, []), spell.begin - _EPSILON, spell.begin)
            lost = forgotten.meet(spell.begin - _AFTER_LOSS, spell.begin)
            if len(running) > may and not lost:
                findings.violate(
                    "I32",
                    f"job {spell.job} is number {len(running)} of its queue on worker {worker}, "
                    f"which had {may} permits",
                )


def _most_within(steps: Sequence[tuple[float, int]], begin: float, end: float) -> int:
    """The highest value that counted at some moment of this time."""
    first = bisect_left(steps, (begin, -1))
    values = [n for at, n in steps[first:] if at <= end + _EPSILON]
    return max([*values, steps[first - 1][1] if first else 0])


def judge_pace(
    starts: Sequence[float],
    paces: Sequence[Pace],
    slow: Windows,
    forgotten: Windows,
    findings: Findings,
) -> None:
    """I33: no window has more starts than the rate and the burst allow, each a moment late.

    Counted anew where a rate changes, and where a blocked loop starts late what had begun.
    """
    times = [pace.at for pace in paces]
    full_at, counted = 0.0, (0.0, 0)
    for start in starts:
        first = max(0, bisect_left(times, start - _LOOK_BACK) - 1)
        known = paces[first : bisect_left(times, start + _EPSILON)]
        rates = [pace.rate for pace in known if pace.rate is not None]
        if not rates or len(rates) < len(known):
            continue  # nothing is said yet, or it had no rate
        rate, burst = max(rates), max(pace.burst or 1 for pace in known)
        disturbed = slow.meet(start - 1.0, start) or forgotten.meet(start - _AFTER_LOSS, start)
        if (rate, burst) != counted or disturbed:
            full_at, counted = start, (rate, burst)
        full_at = max(full_at, start) + 1 / rate
        findings.counts["paced"] += 1
        excess = (full_at - start - _LATE) * rate - burst
        if excess > 1e-6:
            findings.violate(
                "I33", f"at {start:.2f} there are {excess:.1f} starts more than {rate:g}/s allow"
            )
            full_at = start
