"""The rules about the run as a whole: what no single job shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import asyncpg

from chaos.exits import Block, ended_blocked, exits
from chaos.faults.clocks import JUMPS, WorkerClock
from chaos.findings import Findings
from chaos.load import Diary
from chaos.windows import Windows
from chaos.world import World

__all__ = ["check_whole"]

_THREADS, _TASKS, _FILES = 12, 30, 120
_SESSIONS_PER_PROCESS = 4 + 20
_OWN_EXIT = 77
_CLOCK = WorkerClock.name


async def check_whole(
    connection: asyncpg.Connection, diary: Diary, world: World, home: Path, findings: Findings
) -> None:
    """Apply the rules that need all processes, or all rows."""
    _drained(diary, findings)
    await _conserved(connection, findings)
    await _atomic(connection, world, findings)
    _returned(diary, findings)
    _stopped(diary, world, findings)
    _leaks(diary, findings)
    blocks = await connection.fetch("select process, t1 from chaos.run where kind = 'block'")
    survived(diary, world, home, findings, [(row["process"], row["t1"]) for row in blocks])
    if world.quiet:
        await _in_order(connection, findings)


def _drained(diary: Diary, findings: Findings) -> None:
    """I1: once the faults are over, all work is done in time."""
    for line in diary.of("drained"):
        if not line["ok"]:
            findings.violate("I1", f"not drained: {line['left']} jobs left after the deadline")
    for line in diary.of("stuck program"):
        findings.violate("I21", f"{line['name']} did not end when it was told to")
    for line in diary.of("program"):
        findings.violate("I21", f"{line['name']} ended with code {line['code']}")


async def _conserved(connection: asyncpg.Connection, findings: Findings) -> None:
    """I26: each job that was ever there is in one place; checked once, after the drain.

    The counters of workers are not compared: those of a process that is killed are gone.
    """
    row = await connection.fetchrow(
        "select (select count(distinct job) from chaos.audit where op = 'i') as entered,"
        " (select count(*) from pgqueue.jobs) as rows,"
        " (select count(distinct id) from pgqueue.jobs) as jobs"
    )
    assert row is not None
    if not row["entered"] == row["rows"] == row["jobs"]:
        findings.violate(
            "I26",
            f"{row['entered']} jobs entered, {row['jobs']} are there, in {row['rows']} rows",
        )


async def _atomic(connection: asyncpg.Connection, world: World, findings: Findings) -> None:
    """F50 (I2): what a producer wrote in its own transaction is there if the job is."""
    rows = await connection.fetch(
        "select enq.key, enq.y, enq.job, enq.t0, enq.t1 from chaos.enq"
        " where (how = 'tx' or exists (select from chaos.caller where caller.key = enq.key))"
        " and not dup and (job is not null) <> exists"
        " (select from chaos.caller where caller.key = enq.key)"
        " and not (ukey is not null and job is null)"
    )
    for row in rows:
        if world.forgotten.meet(row["t0"], row["t1"] or row["t0"]):
            continue
        there = "without the caller's row" if row["job"] else "missing beside the caller's row"
        findings.violate("I2", f"job {row['job']} of key {row['key']} is {there}")


def _returned(diary: Diary, findings: Findings) -> None:
    """I21: after the last fault has healed, every worker process claims again."""
    healed = diary.of("healed")
    for line in diary.of("living"):
        if not healed or line["pid"] not in healed[-1]["pids"]:
            continue  # it is younger
        mine = [p for p in diary.last_lines if p.rsplit("-", 2)[1] == str(line["pid"])]
        started = max((diary.last_starts.get(p, 0.0) for p in mine), default=0.0)
        if started < healed[-1]["t"]:
            findings.violate("I21", f"process {line['pid']} has run nothing since the last fault")


def _stopped(diary: Diary, world: World, findings: Findings) -> None:
    """I20: a clean stop leaves nothing of the worker's behind, and ends with code 0.

    A worker that stops while it still looks for a claim whose answer was lost stays registered, for
    others to look: so one may be left if a fault was there in the minute before.
    """
    for line in diary.of("ended"):
        if not line["ok"] or line["code"] != 0:
            findings.violate("I20", f"{line['worker']} ended with code {line['code']}")
    for line in diary.of("left"):
        if line["held"]:
            findings.violate("I20", f"{line['held']} jobs are held by nobody")
        if line["workers"] and not world.faults.meet(line["t"] - 60.0, line["t"]):
            findings.violate("I20", f"{line['workers']} workers are registered after the end")


def _leaks(diary: Diary, findings: Findings) -> None:
    """Sessions, transactions, locks, threads, tasks, files: few while idle, gone at the end."""
    living = {str(line["pid"]) for line in diary.of("living")}
    for line in diary.of("sessions"):
        if line["ours"] > _SESSIONS_PER_PROCESS * max(len(living), 1):
            findings.violate("leaks", f"{line['ours']} sessions of idle workers", count="leaks")
        if line["open"]:
            findings.violate("leaks", f"{line['open']} open transactions", count="leaks")
    for line in diary.of("left"):
        for what in ("sessions", "locks"):
            if line[what]:
                findings.violate("leaks", f"{line[what]} {what} after the end", count="leaks")
    for process, vitals in diary.vitals.items():
        if process.rsplit("-", 2)[1] not in living:
            continue
        last = vitals[-1]
        slots = max(line.get("slots", 0) for line in vitals)
        for what, most in (
            ("threads", slots + _THREADS),
            ("tasks", slots + _TASKS),
            ("files", _FILES),
        ):
            if last[what] > most:
                findings.violate(
                    "leaks", f"{last[what]} {what} in the idle process {process}", count="leaks"
                )


def survived(
    diary: Diary, world: World, home: Path, findings: Findings, blocks: Sequence[Block]
) -> None:
    """I22: no exception of a job ends a process. With faults, the supervisor's log is asked.

    A process that says why it could not start is excused by a fault. One whose guard says that a
    job blocks its loop during a stop is excused if a job did block it.
    """
    if world.quiet:
        workers = [p for p in diary.last_lines if p.startswith("worker-")]
        living = {str(line["pid"]) for line in diary.of("living")}
        for process in workers:
            if process.rsplit("-", 2)[1] not in living:
                findings.violate("I22", f"{process} ended, and nobody had told it to")
    (clock,) = diary.of("clock")
    struck = {line["n"]: line["t"] for line in diary.of("strike") if line["name"] == _CLOCK}
    clocks = Windows(
        [(struck[line["n"]], line["t"]) for line in diary.of("heal") if line["n"] in struck]
    )
    for path in home.glob("worker-*.log"):
        for end in exits(path.read_text(errors="replace")):
            at = end.at - clock["offset"]
            # The clock of a worker may have been set while it wrote.
            moments = [at, *(at - jump for jump in JUMPS if clocks.meet(at - jump, at - jump))]
            if (
                end.code == str(_OWN_EXIT)
                or (end.why and any(world.faults.meet(m - 1.0, m) for m in moments))
                or (
                    end.guarded
                    and ended_blocked(path.stem, end.pid, moments, blocks, diary.last_lines)
                )
            ):
                continue
            findings.violate("I22", f"{path.stem}: {end.line[:150]}")


async def _in_order(connection: asyncpg.Connection, findings: Findings) -> None:
    """I23: one queue, one slot, no faults: jobs start in the order of their commits."""
    rows = await connection.fetch(
        "select key, before from (select key, lag(key) over (order by t0) as before"
        " from chaos.run where kind = 'ordered') as started where key < before limit 5"
    )
    for row in rows:
        findings.violate("I23", f"key {row['key']} started after {row['before']}")
