"""Jobs of flows, enqueued by SQL: nothing of that is measured."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg

from benchmarks.bench import Run

__all__ = ["declare", "enqueue", "send_stamps"]

_CHUNK = 10_000


def declare(run: Run, settings: dict[str, Any]) -> None:
    run.database.execute(
        f"insert into pgqueue.flow (name, declared) values ('bench', '{json.dumps(settings)}')"
        " on conflict (name) do nothing"
    )


def enqueue(
    run: Run,
    jobs: int,
    *,
    keys: int,
    settings: dict[str, Any],
    first: int = 0,
    key: int = 0,
    queue: str = "default",
) -> None:
    """Enqueue so many no-ops, each for the next of the keys; without a flow if there are none."""
    if keys:
        declare(run, settings)
    flow = f", 'flow', 'bench', 'flow_key', 'k' || ({key} + n % {keys})" if keys else ""
    for start in range(first, first + jobs, _CHUNK):
        end = min(start + _CHUNK, first + jobs) - 1
        run.database.execute(
            "select count(*) from pgqueue.enqueue((select jsonb_agg(jsonb_build_object("
            f"'task', 'noop', 'queue', '{queue}', 'args', jsonb_build_object('n', n){flow}))"
            f" from generate_series({start}, {end}) as n))"
        )


def send_stamps(connection: psycopg.Connection[Any], count: int) -> None:
    """Enqueue timed jobs of one key in one call."""
    doc = {"task": "stamp", "flow": "bench", "flow_key": "small"}
    doc["args"] = {"n": time.monotonic_ns() // 1000}  # type: ignore[assignment]
    connection.execute("select count(*) from pgqueue.enqueue(%s)", (json.dumps([doc] * count),))
