"""The rules for flows: limits (I24), who admits (I28), order (I29), lines that all forgot (I30).

The versions of jobs and of flows are in one order. An admission locks the row of its flow, so that
what a limit was is certain. What leaves may be counted as gone a moment before its commit: no limit
is said to be broken that was not.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import asyncpg

from chaos.findings import Findings

__all__ = ["Change", "Turn", "check_flows", "judge_limits", "judge_order"]

_CHANGES = """
select seq, op::text, job, flow, fkey, position is not null as placed,
       coalesce(admits, false) as admits, null as settings
from chaos.audit
where op in ('u', 'd') and job in (select job from chaos.audit where op = 'i' and flow is not null)
union all
select seq, 'f', null, name, null, null, null, settings::text from chaos.flow
order by seq
"""
_TURNS = """
select a.fkey as key, a.job, enq.t0, enq.t1,
       (select min(seq) from chaos.audit as c
        where c.job = a.job and c.op = 'u' and c.token is not null) as claimed,
       (select min(seq) from chaos.audit as e where e.job = a.job and e.op = 'd') as ended
from chaos.audit as a
     -- A server that took jobs back gives their ids to others.
     join chaos.enq on enq.job = a.job and enq.key = a.key and enq.y = 'ok' and not enq.dup
where a.op = 'i' and a.flow = 'ledger'
"""


_HEALED = "nothing would have admitted"


@dataclass(frozen=True, slots=True)
class Change:
    """A version of a job of a flow, or (op f) of what holds for a flow."""

    op: str
    job: int | None
    flow: str | None
    key: str | None
    placed: bool
    admits: bool
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """A job of an ordered flow: its enqueue by the clock, its first claim and end in the audit."""

    key: str
    job: int
    t0: float
    t1: float
    claimed: int | None
    ended: int | None


async def check_flows(connection: asyncpg.Connection, home: Path, findings: Findings) -> None:
    """Apply the rules to all flows."""
    for path in home.glob("worker-*.log"):
        if _HEALED in path.read_text(errors="replace"):
            findings.violate("I30", f"{path.stem}: {_HEALED} some jobs")
    rows = await connection.fetch(_CHANGES)
    judge_limits(
        (
            Change(
                row["op"], row["job"], row["flow"], row["fkey"], bool(row["placed"]),
                bool(row["admits"]), json.loads(row["settings"] or "{}"),
            )
            for row in rows
        ),
        findings,
    )  # fmt: skip
    judge_order([Turn(**row) for row in await connection.fetch(_TURNS)], findings)


def judge_limits(changes: Iterable[Change], findings: Findings) -> None:
    """Count what is admitted, version by version."""
    limits: dict[str, Mapping[str, Any]] = {}
    admitted: dict[int, tuple[str, str]] = {}
    of_flow: Counter[str] = Counter()
    of_key: Counter[tuple[str, str]] = Counter()
    for one in changes:
        if one.op == "f":
            limits[one.flow or ""] = one.settings
            continue
        assert one.job is not None
        before = admitted.get(one.job)
        if one.placed and one.op == "u" and before is None:
            line = admitted[one.job] = (one.flow or "", one.key or "")
            of_flow[line[0]] += 1
            of_key[line] += 1
            findings.counts["admitted"] += 1
            if not one.admits:
                findings.violate("I28", f"job {one.job} of {line[0]} got a position by itself")
            _judge_room(one.job, line, limits.get(line[0], {}), of_flow, of_key, findings)
        elif before is not None and (one.op == "d" or not one.placed):
            del admitted[one.job]
            of_flow[before[0]] -= 1
            of_key[before] -= 1


def _judge_room(
    job: int,
    line: tuple[str, str],
    limits: Mapping[str, Any],
    of_flow: Counter[str],
    of_key: Counter[tuple[str, str]],
    findings: Findings,
) -> None:
    most = limits.get("concurrency")
    if most is not None and of_flow[line[0]] > most:
        findings.violate("I24", f"job {job} is number {of_flow[line[0]]} of {most} of {line[0]}")
    most = 1 if limits.get("ordered") else limits.get("key_concurrency")
    if most is not None and of_key[line] > most:
        findings.violate(
            "I24", f"job {job} is number {of_key[line]} of {most} of {line[0]} / {line[1]}"
        )


def judge_order(turns: Sequence[Turn], findings: Findings) -> None:
    """What was acknowledged before another was enqueued ends before that is claimed."""
    keys: dict[str, list[Turn]] = {}
    for turn in turns:
        keys.setdefault(turn.key, []).append(turn)
    for key, mine in keys.items():
        over = sorted((one for one in mine if one.ended is not None), key=lambda one: one.t1)
        times = [one.t1 for one in over]
        last = list(accumulate((one.ended or 0 for one in over), max))
        for one in mine:
            n = bisect_left(times, one.t0)
            if n and one.claimed is not None and last[n - 1] > one.claimed:
                findings.violate("I29", f"job {one.job} of {key} passed one that came before")
