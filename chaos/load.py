"""Reads the histories of all processes into tables, beside the audit, for the checker to join."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

__all__ = ["Diary", "load", "read_lines"]

_TABLES = """
drop table if exists chaos.enq, chaos.run;
create unlogged table chaos.enq (
    key bigint not null, job bigint, kind text not null, ukey text, delay float8, y text not null,
    dup boolean not null, t0 float8 not null, t1 float8, how text not null
);
create unlogged table chaos.run (
    job bigint not null, token bigint not null, attempt integer not null, key bigint not null,
    kind text not null, t0 float8 not null, t1 float8, r text, process text not null
);
"""
_INDEXES = """
create index if not exists audit_job on chaos.audit (job, seq);
create index on chaos.enq (key);
update chaos.enq set job = audit.job
from chaos.audit where enq.job is null and audit.op = 'i' and audit.key = enq.key;
create index on chaos.enq (job);
create index on chaos.run (job, t0);
create index if not exists effect_tx_job on chaos.effect_tx (job);
analyze chaos.audit, chaos.enq, chaos.run, chaos.effect_tx;
"""


@dataclass(slots=True)
class Diary:
    """All lines that are not of a job, and counts of those that are."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    last_lines: dict[str, float] = field(default_factory=dict)
    last_starts: dict[str, float] = field(default_factory=dict)
    vitals: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    attempts: int = 0
    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    skipped: int = 0

    def of(self, f: str) -> list[dict[str, Any]]:
        """The lines of this kind, by time."""
        return sorted((line for line in self.lines if line["f"] == f), key=lambda line: line["t"])


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a history; the last one may be cut short by a kill."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        for line in file:
            try:
                yield decode(line)
            except msgspec.DecodeError:
                return


async def load(connection: asyncpg.Connection, home: Path) -> Diary:
    """Fill the tables from the histories in ``home``; return what else they say."""
    diary = Diary()
    await connection.execute(_TABLES)
    for path in sorted(home.glob("*.jsonl")):
        if path.name.startswith("producer-"):
            await _copy(connection, "enq", enqueues(path, diary))
        elif path.name.startswith("worker-"):
            await _copy(connection, "run", runs(path, diary))
        else:
            diary.lines += [{**line, "process": path.stem} for line in read_lines(path)]
    await connection.execute("set maintenance_work_mem = '256MB'")
    await connection.execute(_INDEXES)
    return diary


async def _copy(
    connection: asyncpg.Connection, table: str, records: Iterator[tuple[Any, ...]]
) -> None:
    await connection.copy_records_to_table(table, schema_name="chaos", records=records)


def enqueues(path: Path, diary: Diary) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each job that a producer wanted to enqueue."""
    how = path.stem.split("-")[1]
    open_ops: dict[int, dict[str, Any]] = {}
    for line in read_lines(path):
        if line["f"] != "enq":
            continue
        if line["y"] == "invoke":
            open_ops[line["o"]] = line
            diary.attempts += len(line["ks"])
            continue
        invoke = open_ops.pop(line["o"])
        yield from _rows(invoke, line, how, diary)
    for invoke in open_ops.values():
        yield from _rows(invoke, {"y": "info", "t": None}, how, diary)


def _rows(
    invoke: dict[str, Any], answer: dict[str, Any], how: str, diary: Diary
) -> Iterator[tuple[Any, ...]]:
    y = answer["y"]
    ids = answer.get("js") or [None] * len(invoke["ks"])
    dups = set(answer.get("dups", ()))
    count = len(invoke["ks"])
    match y:
        case "ok":
            diary.acknowledged += count
            diary.skipped += len(dups)
        case "fail":
            diary.failed += count
        case _:
            diary.unknown += count
    for n, (key, kind) in enumerate(zip(invoke["ks"], invoke["ns"], strict=True)):
        unique, delay = invoke["us"].get(str(n)), invoke["ds"].get(str(n))
        yield key, ids[n], kind, unique, delay, y, n in dups, invoke["t"], answer["t"], how


def runs(path: Path, diary: Diary) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each run of a job in a worker's process."""
    process = path.stem
    row = _run_row(process)
    open_runs: dict[tuple[int, int], dict[str, Any]] = {}
    for line in read_lines(path):
        diary.last_lines[process] = line["t"]
        f = line["f"]
        if f == "start":
            receipt = (line["j"], line["c"])
            if receipt in open_runs:
                yield row(open_runs[receipt], None)
            open_runs[receipt] = line
            diary.last_starts[process] = line["t"]
        elif f == "end":
            start = open_runs.pop((line["j"], line["c"]), None)
            if start is not None:
                yield row(start, line)
        elif f == "vitals":
            diary.vitals.setdefault(process, []).append(line)
        else:
            line["process"] = process
            diary.lines.append(line)
    for start in open_runs.values():
        yield row(start, None)


def _run_row(
    process: str,
) -> Callable[[dict[str, Any], dict[str, Any] | None], tuple[Any, ...]]:
    def row(start: dict[str, Any], end: dict[str, Any] | None) -> tuple[Any, ...]:
        t1, r = (end["t"], end["r"]) if end else (None, None)
        return (
            start["j"], start["c"], start["a"], start["k"], start["n"], start["t"], t1, r, process,
        )  # fmt: skip

    return row
