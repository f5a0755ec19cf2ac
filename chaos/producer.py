"""``python -m chaos.producer CONFIG``: enqueues in one of several ways until told to stop.

A refused enqueue (``fail``) is one of which the client says that nothing was written. Whatever else
goes wrong leaves it open (``info``): it may be there, and if it is, its key tells.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import psycopg

import pgqueue
from chaos import tasks
from chaos.caller import connect
from chaos.control import Control, Word
from chaos.history import History
from chaos.kinds import Draw
from chaos.orders import Maker, Order
from pgqueue.errors import ConfigError, OutcomeUnknown, PayloadError, Unreachable
from pgqueue.job import Enqueued

__all__ = ["main"]

_KEYS = 1_000_000_000
_ROLLED_BACK = 0.1
_IMPATIENT = 0.01


class _RolledBack(Exception):
    """The producer changed its mind."""


class Producer:
    """One process that enqueues: ``how`` is sync, async, tx or bulk."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.rng = random.Random(f"{config['seed']}-{config['index']}")
        self.history = History(config["home"], f"producer-{config['how']}")
        self.control = Control(config["control"])
        self.app = tasks.app
        self.maker = Maker(self.rng, config["index"] * _KEYS, nap=config["nap"])
        self.draw = Draw(self.rng, config["shares"], config["rare"])
        self._ops = 0

    def orders(self, count: int) -> list[Order]:
        kinds = self.draw.common(count) + self.draw.rare(time.monotonic())
        return [self.maker.make(kind) for kind in kinds]

    def word(self) -> Word:
        return self.control.heard()

    # -- what is written down

    def invoke(self, orders: Sequence[Order]) -> int:
        self._ops += 1
        self.history.write(
            f="enq",
            y="invoke",
            o=self._ops,
            ks=[order.key for order in orders],
            ns=[order.kind for order in orders],
            us={str(n): order.unique for n, order in enumerate(orders) if order.unique},
            ds={str(n): order.delay for n, order in enumerate(orders) if order.delay},
        )
        return self._ops

    def ok(self, op: int, done: Sequence[Enqueued]) -> None:
        self.history.write(
            f="enq",
            y="ok",
            o=op,
            js=[one.id for one in done],
            dups=[n for n, one in enumerate(done) if one.duplicate],
        )

    def failed(self, op: int, error: BaseException, *, committing: bool = True) -> None:
        certain = not committing or isinstance(
            error, (Unreachable, ConfigError, PayloadError, _RolledBack)
        )
        if isinstance(error, pgqueue.DatabaseError) and not isinstance(error, OutcomeUnknown):
            certain = True
        why = "" if isinstance(error, _RolledBack) else f"{type(error).__name__}: {error}"[:120]
        self.history.write(f="enq", y="fail" if certain else "info", o=op, why=why)

    # -- the ways

    def run(self) -> None:
        match self.config["how"]:
            case "sync":
                self._sync()
            case "async":
                asyncio.run(self._several(self._async_once, 3))
            case "tx":
                asyncio.run(self._several(self._tx_once, 4))
            case _:
                asyncio.run(self._several(self._bulk_once, 1))
        self.history.write(f="bye")

    def _sync(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not (word := self.word()).stop:
            if word.room <= 0:
                time.sleep(0.05)
                continue
            orders = self.orders(1)
            if self.rng.random() < 0.3:
                connection = self._psycopg_once(connection, orders)
            else:
                op = self.invoke(orders)
                try:
                    self.ok(op, self.app.enqueue_many([order.job for order in orders]))
                except Exception as exc:
                    self.failed(op, exc)
                    time.sleep(0.05)
            time.sleep(self.rng.uniform(0.1, 0.3) if word.calm else self.config["pause"])
        if connection is not None:
            connection.close()
        self.app.close()

    def _psycopg_once(
        self, connection: psycopg.Connection[Any] | None, orders: Sequence[Order]
    ) -> psycopg.Connection[Any] | None:
        """Enqueue in a psycopg transaction of our own."""
        op = self.invoke(orders)
        committing = False
        try:
            if connection is None or connection.closed:
                connection = connect(
                    self.config["dsn"],
                    prepare_threshold=None if tasks.POOLED else 5,
                    application_name="chaos producer",
                )
            done = self._caller_sync(connection, orders)
            committing = True
            connection.commit()
            self.ok(op, done)
        except Exception as exc:
            self.failed(op, exc, committing=committing)
            if connection is not None:
                connection.close()
        return connection

    def _caller_sync(
        self, connection: psycopg.Connection[Any], orders: Sequence[Order]
    ) -> list[Enqueued]:
        for order in orders:
            connection.execute("insert into chaos.caller (key) values (%s)", (order.key,))
        done = self.app.enqueue_many([order.job for order in orders], connection=connection)
        if self.rng.random() < _ROLLED_BACK:
            connection.rollback()
            raise _RolledBack
        return done

    async def _several(self, once: Callable[[], Awaitable[None]], many: int) -> None:
        async def forever() -> None:
            while not (word := self.word()).stop:
                if word.room <= 0 or (word.calm and self.config["how"] == "bulk"):
                    await asyncio.sleep(0.05)
                    continue
                await once()
                calm = self.rng.uniform(0.3, 0.8)
                await asyncio.sleep(calm if word.calm else self.config["pause"])

        await asyncio.gather(*(forever() for _ in range(many)))
        await self.app.aclose()

    async def _async_once(self) -> None:
        orders = self.orders(1)
        op = self.invoke(orders)
        impatient = self.rng.random() < _IMPATIENT
        try:
            async with asyncio.timeout(0.001 if impatient else None):
                done = await self.app.aenqueue_many([order.job for order in orders])
            self.ok(op, done)
        except Exception as exc:
            self.failed(op, exc)
            await asyncio.sleep(0.05)

    async def _bulk_once(self) -> None:
        orders = self.orders(self.rng.randint(1, self.config["bulk"]))
        op = self.invoke(orders)
        try:
            self.ok(op, await self.app.aenqueue_many([order.job for order in orders]))
        except Exception as exc:
            self.failed(op, exc)
            await asyncio.sleep(0.05)

    async def _tx_once(self) -> None:
        """Enqueue in a transaction of our own, which may take its time or be rolled back."""
        orders = self.orders(1)
        op = self.invoke(orders)
        committing = False
        connection: asyncpg.Connection | None = None
        try:
            connection = await self._borrow()
            transaction = connection.transaction()
            await transaction.start()
            for order in orders:
                await connection.execute("insert into chaos.caller (key) values ($1)", order.key)
            done = await self.app.aenqueue_many([o.job for o in orders], connection=connection)
            if self.rng.random() < 0.3:
                await asyncio.sleep(self.rng.uniform(0.0, 0.4))
            if self.rng.random() < _ROLLED_BACK:
                await transaction.rollback()
                raise _RolledBack
            committing = True
            await transaction.commit()
            self.ok(op, done)
        except _RolledBack as exc:
            self.failed(op, exc)
        except Exception as exc:
            self.failed(op, exc, committing=committing)
            if connection is not None:
                connection.terminate()
            await asyncio.sleep(0.05)
        if connection is not None and not connection.is_closed():
            self._idle.append(connection)

    _idle: list[asyncpg.Connection] = []  # noqa: RUF012  (one producer a process)

    async def _borrow(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await asyncpg.connect(
            self.config["dsn"],
            timeout=5.0,
            command_timeout=20.0,
            statement_cache_size=0 if tasks.POOLED else 100,
            server_settings={"application_name": "chaos producer"},
        )


def main() -> int:
    Producer(json.loads(sys.argv[1])).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
