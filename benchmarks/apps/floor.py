"""The floor of a transactional job: an effect and a mark that it is done, in one transaction.

Without a queue: begin, insert, one more insert, commit, as a program would write it that keeps a
table of what it has done. `floor.py async|threads CONNECTIONS COUNT` prints what it took.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import common

TABLES = """\
create table if not exists settled (n bigint not null);
create table if not exists settled_done (n bigint primary key)"""
# Numbers that no job has, in no order that matters.
_FIRST = time.monotonic_ns()
_WARM_UP = 5


def _numbers(count: int) -> tuple[Iterator[int], Iterator[int]]:
    """Return the numbers of the warm-up, and those that are measured."""
    return itertools.count(_FIRST), iter(range(_FIRST + 1_000_000, _FIRST + 1_000_000 + count))


async def in_tasks(connections: int, count: int) -> dict[str, float]:
    """Share the transactions among so many connections of asyncpg."""
    import asyncpg

    warm_up, numbers = _numbers(count)
    all_of_them = [await asyncpg.connect(common.DSN) for _ in range(connections)]

    async def one(connection: asyncpg.Connection, n: int) -> None:
        async with connection.transaction():
            await connection.execute("insert into settled (n) values ($1)", n)
            await connection.execute("insert into settled_done (n) values ($1)", n)

    async def work(connection: asyncpg.Connection) -> None:
        for n in numbers:
            await one(connection, n)

    for connection in all_of_them:
        for n in itertools.islice(warm_up, _WARM_UP):
            await one(connection, n)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(work, all_of_them))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    for connection in all_of_them:
        await connection.close()
    return {"rate": count / seconds, "cpu": cpu / count}


def in_threads(connections: int, count: int) -> dict[str, float]:
    """Share the transactions among so many threads, each with a connection of psycopg."""
    import psycopg

    warm_up, numbers = _numbers(count)
    turn = threading.Lock()
    all_of_them = [psycopg.connect(common.DSN) for _ in range(connections)]

    def one(connection: psycopg.Connection[tuple[object, ...]], n: int) -> None:
        with connection.transaction():
            connection.execute("insert into settled (n) values (%s)", (n,))
            connection.execute("insert into settled_done (n) values (%s)", (n,))

    def work(connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while True:
            with turn:
                n = next(numbers, None)
            if n is None:
                return
            one(connection, n)

    for connection in all_of_them:
        for n in itertools.islice(warm_up, _WARM_UP):
            one(connection, n)
    threads = [threading.Thread(target=work, args=(one_of_them,)) for one_of_them in all_of_them]
    began, cpu = time.perf_counter(), time.process_time()
    _each(threads, threading.Thread.start)
    _each(threads, threading.Thread.join)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    for connection in all_of_them:
        connection.close()
    return {"rate": count / seconds, "cpu": cpu / count}


def _each(threads: list[threading.Thread], do: Callable[[threading.Thread], None]) -> None:
    for thread in threads:
        do(thread)


def main() -> None:
    kind, connections, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if kind == "threads":
        answer = in_threads(connections, count)
    else:
        answer = common.run(in_tasks(connections, count))
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PGAPPNAME", "floor")
    main()
