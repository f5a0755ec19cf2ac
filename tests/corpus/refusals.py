"""Ways to make bad calls, and what may be wrong with how they are refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pgqueue import App
from tests.corpus.arguments import Bad, Tasks

__all__ = ["refuse_all", "refused"]


def refused(bad: Bad, call: Callable[[Bad], Any]) -> str | None:
    """Make the call; return what is wrong with how it was refused, None if nothing."""
    try:
        call(bad)
    except bad.error as error:
        path = getattr(error, "path", bad.says)
        if bad.says not in str(error):
            return f"{bad.name}: does not say {bad.says!r}: {error!s:.200}"
        if path not in str(error) and "args must be a mapping" not in str(error):
            return f"{bad.name}: does not say its path {path}: {error!s:.200}"
        return None
    except Exception as error:
        return f"{bad.name}: {error!r:.200}"
    return f"{bad.name}: taken"


async def refuse_all(bads: Sequence[Bad], connection: object) -> list[str]:
    """Enqueue each on the connection; return what is wrong with how they were refused."""

    def give(kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kind == "app":
            return target.aenqueue(*args, connection=connection, **kwargs)
        if hasattr(target, "using"):
            target = target.using(connection=connection)
        else:
            target._connection = connection
        return target.aenqueue(*args, **kwargs)

    tasks = Tasks(App("postgresql://nobody@127.0.0.1:1/none"), give)
    wrong: list[str] = []
    for bad in bads:
        result: Any = None

        def call(bad: Bad) -> Any:
            made: Any = bad.make(tasks)
            if inspect.iscoroutine(made):
                made.send(None)  # to its end, or to its first word with the server
                made.close()

        result = refused(bad, call)
        if result:
            wrong.append(result)
    return wrong
