"""PgBouncer in transaction mode in front of the server, with a pool of 20."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.harness.pgbouncer import bouncer, installed

from benchmarks.cluster import Database
from benchmarks.systems.base import Failed, Missing

__all__ = ["POOL", "pooled"]

POOL = 20


@contextmanager
def pooled(database: Database) -> Iterator[str]:
    """Run it for the body, which gets the dsn of the database through it."""
    if installed() is None:
        raise Missing("pgbouncer is not installed")
    with ExitStack() as stack:
        pooler = bouncer(database.dsn, pool_size=POOL, most_clients=2000)
        try:
            dsn = stack.enter_context(pooler)
        except AssertionError as exc:
            raise Failed(f"pgbouncer did not start; it said: {str(exc)[-500:]}") from exc
        yield dsn
