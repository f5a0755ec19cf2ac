"""Whether a handler's own commit was carried out, where nobody can be asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from pgqueue.errors import ConfigError
from pgqueue.worker.run.callers import CallersTransactions


async def test_an_error_while_it_is_asked_leaves_the_job_undone_and_is_not_raised() -> None:
    """Else the attempt would have no outcome."""

    async def arun(*_: Any, **__: Any) -> None:
        raise ConfigError("the function that gives the dsn failed")

    said: list[str] = []
    pool: Any = SimpleNamespace(schema="pgqueue", arun=arun)
    job = SimpleNamespace(
        id=1, token=7,
        mark_undone=lambda: said.append("undone"), mark_completed=lambda: said.append("completed"),
    )  # fmt: skip
    await CallersTransactions(pool).settle(cast("Any", job))
    assert said == ["undone"]
