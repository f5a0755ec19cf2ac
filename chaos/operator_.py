"""``python -m chaos.operator_ CONFIG``: retries, redrives the dead, pauses and resumes a queue."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

from chaos.caller import connect
from chaos.control import Control
from chaos.history import History
from chaos.tasks import app

__all__ = ["main"]

_WAITING = "select id from pgqueue.job where position is null and task = 'later' limit 3"
_REDRIVEN = "exit"  # what ends its worker each time is left dead


def main() -> int:
    config: dict[str, Any] = json.loads(sys.argv[1])
    rng = random.Random(f"{config['seed']}-operator")
    operator = _Operator(config, History(config["home"], "operator"))
    control = Control(config["control"])
    while not control.heard().stop:
        time.sleep(rng.uniform(0.5, 2.0))
        match rng.choice(("retry", "redrive", "pause")):
            case "retry":
                operator.retry()
            case "redrive":
                operator.redrive()
            case _:
                operator.do("pause", lambda: app.pause("side"), queue="side")
                time.sleep(rng.uniform(0.2, 1.0))
                operator.resume()
    operator.resume()
    operator.history.write(f="bye")
    app.close()
    return 0


class _Operator:
    def __init__(self, config: dict[str, Any], history: History) -> None:
        self._dsn: str = config["dsn"]
        self.history = history

    def do(self, verb: str, call: Callable[[], object], **fields: Any) -> bool:
        """Do it once, and note how that went."""
        self.history.write(f=verb, y="invoke", **fields)
        try:
            call()
        except Exception as exc:
            self.history.write(f=verb, y="info", why=f"{type(exc).__name__}: {exc}"[:120], **fields)
            time.sleep(0.1)
            return False
        self.history.write(f=verb, y="ok", **fields)
        return True

    def resume(self) -> None:
        """A queue must not stay paused: try until it is not."""
        while not self.do("resume", lambda: app.resume("side"), queue="side"):
            pass

    def retry(self) -> None:
        """Make some that are scheduled ready before they are due."""
        try:
            with connect(self._dsn, autocommit=True) as connection:
                found = [row[0] for row in connection.execute(_WAITING)]
        except psycopg.Error:
            return
        if found:
            self.do("retry", lambda: app.retry(found), js=found)

    def redrive(self) -> None:
        try:
            dead = app.list_dead(limit=20)
        except Exception:
            return
        ids = [job.id for job in dead if job.task != _REDRIVEN]
        if ids:
            self.do("redrive", lambda: app.redrive(ids), js=ids)


if __name__ == "__main__":
    sys.exit(main())
