"""Connections that an enqueue cannot join, and jobs completed in the wrong place."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

__all__ = ["TRANSACTIONS"]

TRANSACTIONS = (
    Mistake(
        code="""
import asyncpg

async with asyncpg.create_pool(os.environ["PGQUEUE_DSN"], min_size=1) as pool:
    await send.using(connection=pool).aenqueue(7)
""",
        says="ConfigError: cannot use asyncpg.pool.Pool: a pool is not a transaction; "
        'use "async with pool.acquire() as connection"',
        cause="The job is to be part of your transaction, which is on one connection.",
        remedy="Pass the connection on which you have begun it.",
    ),
    Mistake(
        code="""
from sqlalchemy import create_engine

engine = create_engine("postgresql+psycopg://localhost/shop")
send.using(connection=engine).enqueue(7)
""",
        says="ConfigError: cannot use sqlalchemy.engine.base.Engine: an engine is not a "
        'transaction; use "with engine.begin() as connection"',
        cause="The job is to be part of your transaction, which is on one connection.",
        remedy="Pass the session, or the connection of `engine.begin()`.",
    ),
    Mistake(
        code="""
import psycopg

with psycopg.connect(os.environ["PGQUEUE_DSN"]) as connection:
    await send.using(connection=connection).aenqueue(7)
""",
        says="ConfigError: this psycopg Connection is blocking: use enqueue or enqueue_many with "
        "it, not aenqueue",
        cause="A connection without async cannot be awaited.",
        remedy="Write `send.using(connection=connection).enqueue(7)`, which is allowed in an event "
        "loop: the connection is yours. Or use an asynchronous connection.",
    ),
    Mistake(
        code="""
import psycopg

async with await psycopg.AsyncConnection.connect(os.environ["PGQUEUE_DSN"]) as connection:
    send.using(connection=connection).enqueue(7)
""",
        says="ConfigError: this psycopg AsyncConnection is asynchronous: use aenqueue or "
        "aenqueue_many with it, not enqueue",
        cause="An asynchronous connection has to be awaited.",
        remedy="Write `await send.using(connection=connection).aenqueue(7)`.",
    ),
    Mistake(
        code="""
import sqlite3

send.using(connection=sqlite3.connect(":memory:")).enqueue(7)
""",
        says="ConfigError: connection must be a connection of asyncpg, psycopg, psycopg2, "
        "SQLAlchemy (Connection, Session and their async twins) or Django; got sqlite3.Connection",
        cause="The job would be in another database than pgqueue's tables.",
        remedy="Pass a connection to the PostgreSQL database that `pgqueue migrate` was run on.",
    ),
    Mistake(
        code="""
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

with Session(create_engine("sqlite://")) as session:
    send.using(connection=session).enqueue(7)
""",
        says="ConfigError: this SQLAlchemy connection is to sqlite, not to postgresql",
        cause="Tests often run on sqlite, which has no tables of pgqueue.",
        remedy="Run the tests on PostgreSQL too: `pgqueue.testing` has fixtures.",
    ),
    Mistake(
        code="""
import psycopg

with psycopg.connect(os.environ["EMPTY"]) as connection:
    send.using(connection=connection).enqueue(7)
""",
        says='SchemaError: schema "pgqueue" does not exist; on the database of this connection, '
        "run: pgqueue migrate",
        cause="The connection leads to another database than PGQUEUE_DSN.",
        remedy="Join a connection to the database of the queue, or migrate that one too.",
    ),
    Mistake(
        code="""
import psycopg

with psycopg.connect(os.environ["PGQUEUE_DSN"]) as connection:
    try:
        connection.execute("select 1 / 0")
    except psycopg.Error:
        pass
    send.using(connection=connection).enqueue(7)
""",
        says="InFailedSqlTransaction: current transaction is aborted, commands ignored until end "
        "of transaction block",
        cause="A statement before has failed. PostgreSQL then refuses all until a rollback.",
        remedy="Let the first error pass, or put the statement that may fail into a savepoint.",
    ),
    Mistake(
        code="""
import psycopg

async def later() -> None:
    await asyncio.sleep(0)
    await send.aenqueue(7)

with psycopg.connect(os.environ["PGQUEUE_DSN"]) as connection:
    with app.within(connection):
        task = asyncio.ensure_future(later())
    await task
""",
        says="ConfigError: this code began inside a block of within() that has been left since, so "
        "its transaction is over; enqueue inside a block of its own, or in within(None) on one of "
        "the app's own connections",
        cause="A task or thread has a copy of the context that it was started in.",
        remedy="Await it inside the block, or begin it with `with app.within(None):`.",
    ),
    Mistake(
        code="""
import psycopg

@app.task(max_attempts=1)
def pay() -> None:
    connection = psycopg.connect(os.environ["PGQUEUE_DSN"])
    current_job().complete(connection)
    connection.close()
""",
        job="pay",
        says="ConfigError: complete() of job ... was called, but its transaction was not committed "
        "by the time that the handler returned; commit it before",
        cause="`complete` writes in your transaction. Without its commit, the job is not done.",
        remedy="Call `connection.commit()` in the task, or use "
        "`with job.transaction(connection):`.",
    ),
    Mistake(
        code="""
import psycopg

@app.task(max_attempts=1)
def pay() -> None:
    with psycopg.connect(os.environ["PGQUEUE_DSN"], autocommit=True) as connection:
        current_job().complete(connection)
""",
        job="pay",
        says="ConfigError: no transaction is open on this connection, which is in autocommit: "
        "begin one, and call complete() of job ... inside it",
        cause="In autocommit the job would be done before your next statement is.",
        remedy="Use `with job.transaction(connection):`, which begins one.",
    ),
    Mistake(
        code="""
import sys

sys.modules["psycopg"] = None  # it is not installed

@app.task(max_attempts=1)
def pay() -> None:
    with current_job().transaction() as tx: ...
""",
        job="pay",
        says="ConfigError: job.transaction() in a thread needs psycopg: "
        "pip install 'pgqueue-py[psycopg]'",
        cause="Tasks without async have a transaction of psycopg, which is an extra.",
        remedy="Install the extra, or pass a connection of yours: `job.transaction(connection)`.",
    ),
)
