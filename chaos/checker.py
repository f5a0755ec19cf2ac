"""Checks a run that is over: reads what everybody wrote down, applies the rules, prints a table."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from chaos.findings import Findings
from chaos.load import Diary, load
from chaos.permits import check_permits
from chaos.rules import NOT_APPLICABLE, Judge
from chaos.slots import check_slots
from chaos.stream import stories
from chaos.turns import check_flows
from chaos.whole import check_whole
from chaos.windows import Windows
from chaos.world import World, pid_of

__all__ = ["Verdict", "check", "world_of"]

_AFTER_EXIT = 6.0
_AFTER_BLOCK = 1.5
_BEHIND = 1.0  # what is not flushed yet, or not sent to the standby
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """``ok`` if nothing was violated; ``table`` says it in Jepsen's words."""

    ok: bool
    table: str
    figures: dict[str, Any]
    violations: dict[str, int]
    samples: dict[str, list[str]]

    def save(self, path: Path) -> None:
        document = {
            "ok": self.ok,
            "figures": self.figures,
            "violations": self.violations,
            "samples": self.samples,
        }
        path.write_text(json.dumps(document, indent=1) + "\n")


async def check(dsn: str, home: Path, *, quiet: bool) -> Verdict:
    """Judge the run whose histories are in ``home`` and whose database is ``dsn``.

    ``quiet``: it was a run without faults, in which nothing is excused.
    """
    connection = await asyncpg.connect(dsn, command_timeout=600.0)
    try:
        diary = await load(connection, home)
        blocks = await connection.fetch("select t0, t1 from chaos.run where kind = 'block'")
        world = world_of(diary, [(row["t0"], row["t1"]) for row in blocks], quiet=quiet)
        findings = Findings()
        judge = Judge(world, findings)
        offset = diary.of("clock")[0]["offset"]
        world.scheduled = await check_slots(connection, offset, world, findings)
        async for story in stories(connection, offset):
            judge.judge(story)
        judge.judge_unique()
        judge.judge_blame()
        lost = await connection.fetch(
            "select key, t0, t1 from chaos.enq where y = 'ok' and job is null"
        )
        for row in lost:
            if world.forgotten.meet(row["t0"], row["t1"]):
                findings.counts["forgotten"] += 1
                continue
            findings.violate("I1", f"key {row['key']} was acknowledged without an id", count="lost")
        await check_flows(connection, home, findings)
        await check_permits(connection, offset, world, findings)
        await check_whole(connection, diary, world, home, findings)
    finally:
        await connection.close()
    return verdict(diary, world, findings)


def world_of(diary: Diary, blocks: list[tuple[float, float | None]], *, quiet: bool) -> World:
    """Put together what the processes say of faults, of calm, of cancels and of their leases."""
    at_large: list[tuple[float, float]] = []
    struck_by: dict[int, list[tuple[float, float]]] = {}
    forgotten: list[tuple[float, float]] = []
    struck: dict[int, dict[str, Any]] = {line["n"]: line for line in diary.of("strike")}
    for line in diary.of("heal"):
        begun = struck.pop(line["n"])
        if begun.get("forgetful"):
            forgotten.append((begun["t"] - _BEHIND, line["t"]))
        span = begun["t"], line["t"] + begun["disruptive"]
        victims: list[int] | None = line.get("victims")
        if victims is None:
            at_large.append(span)
        for pid in victims or ():
            struck_by.setdefault(pid, []).append(span)
    at_large += [(line["t"], float("inf")) for line in struck.values()]
    for line in diary.of("exit"):
        span = line["t"], line["t"] + _AFTER_EXIT
        struck_by.setdefault(pid_of(line["process"]), []).append(span)
    at_large += [(line["t"] - line["seconds"] - 1, line["t"] + 4.0) for line in diary.of("starved")]
    world = World(
        faults=Windows([*at_large, *itertools.chain(*struck_by.values())]),
        at_large=Windows(at_large),
        struck={pid: Windows(spans) for pid, spans in struck_by.items()},
        forgotten=Windows(forgotten),
        slow=Windows((t0, (t1 or t0 + 3.0) + _AFTER_BLOCK) for t0, t1 in blocks),
        calm=Windows(_calm(diary)),
        last_lines=diary.last_lines,
        quiet=quiet,
        honest_clocks=not any("server-clock" in line["name"] for line in diary.of("strike")),
    )
    for line in diary.of("log"):
        if "lease was lost" in line["m"]:
            world.fenced.setdefault(line["process"], []).append(line["t"])
    for line in diary.of("cancel"):
        if line["y"] == "ok" and line["r"] in ("cancelled", "requested") and line["changed"]:
            world.cancels.setdefault(line["j"], (line["t"], line["r"]))
    world.retried = frozenset(job for line in diary.of("retry") for job in line["js"])
    return world


def _calm(diary: Diary) -> list[tuple[float, float]]:
    calm: list[tuple[float, float]] = []
    since: float | None = None
    for line in diary.of("calm"):
        if line["on"]:
            since = line["t"]
        elif since is not None:
            calm.append((since, line["t"]))
            since = None
    return calm


def verdict(diary: Diary, world: World, findings: Findings) -> Verdict:
    """Sum up."""
    counts = findings.counts
    duration = diary.of("clock")
    figures: dict[str, Any] = {
        "attempts": diary.attempts,
        "acknowledged": diary.acknowledged,
        "refused": diary.failed,
        "unknown": diary.unknown,
        "skipped": diary.skipped,
        "ok": counts["completed"],
        "cancelled": counts["cancelled"],
        "dead": counts["dead"],
        "innocent_dead": counts["innocent dead"],
        "blamed_unstarted": counts["blamed unstarted"],
        "unknown_task": counts["unknown task"],
        "starts": counts["starts"],
        "lost": counts["lost"],
        "forgotten": counts["forgotten"],
        "unexpected": counts["unexpected"],
        "duplicated": counts["duplicated"],
        "released": counts["released"],
        "recovered": counts["recovered"],
        "needless_duplicates": counts["needless_duplicates"],
        "fence_breaks": counts["fence_breaks"],
        "stuck": counts["stuck"],
        "median_recovery_s": round(findings.recovery(0.5), 2),
        "p99_recovery_s": round(findings.recovery(0.99), 2),
        "max_recovery_s": round(findings.recovery(1.0), 2),
        "slowest_recovery": findings.slowest,
        "wakes": counts["woken"],
        "max_wake_s": round(findings.max_wake, 2),
        "admitted": counts["admitted"],
        "permits": counts["permits"],
        "paced": counts["paced"],
        "slots": counts["slots"],
        "slots_missed": counts["slots missed"],
        "max_fire_s": round(findings.max_fire, 2),
        "leases_lost": sum(map(len, world.fenced.values())),
        "leaks": counts["leaks"],
        "faults": len([line for line in diary.of("heal") if not line["problem"]]),
        "faults_missed": len([line for line in diary.of("heal") if line["problem"]]),
        "fault_seconds": _bounded(world.faults),
        "seconds": duration[0]["seconds"] if duration else 0,
    }
    lines = [f"{name:>20}  {value}" for name, value in figures.items()]
    without = ", ".join(f"{name} ({why})" for name, why in NOT_APPLICABLE.items())
    lines += ["", f"not applicable: {without}"]
    if findings.ok:
        lines.append("no invariant was violated")
    for invariant, count in sorted(findings.violations.items()):
        lines.append(f"{invariant} violated {count} times:")
        lines += [f"    {text}" for text in findings.samples[invariant][:_SHOWN]]
    return Verdict(
        findings.ok, "\n".join(lines), figures, dict(findings.violations), findings.samples
    )


def _bounded(windows: Windows) -> float | None:
    total = windows.total()
    return None if total == float("inf") else round(total, 1)
