"""``python -m chaos.canceller CONFIG``: cancels the doomed, whether they wait or run.

It stays until the last is gone: a producer that was told to stop may commit one yet.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

import psycopg

from chaos.caller import connect
from chaos.control import Control
from chaos.history import History
from chaos.tasks import app

__all__ = ["main"]

_DOOMED = "select id from pgqueue.job where task = 'doomed' and not cancel_requested limit 20"


def main() -> int:
    config: dict[str, Any] = json.loads(sys.argv[1])
    rng = random.Random(f"{config['seed']}-canceller")
    history = History(config["home"], "canceller")
    control = Control(config["control"])
    while not (word := control.heard()).over:
        try:
            with connect(config["dsn"], autocommit=True) as connection:
                found = [row[0] for row in connection.execute(_DOOMED)]
        except psycopg.Error:
            time.sleep(0.2)
            continue
        for job in found:
            if word.stop or rng.random() < 0.3:
                _cancel(history, job)
        time.sleep(rng.uniform(0.1, 0.6))
    app.close()
    return 0


def _cancel(history: History, job: int) -> None:
    history.write(f="cancel", y="invoke", j=job)
    try:
        (result,) = app.cancel(job)
    except Exception as exc:
        history.write(f="cancel", y="info", j=job, why=f"{type(exc).__name__}: {exc}"[:120])
        time.sleep(0.1)
    else:
        history.write(f="cancel", y="ok", j=job, r=result.state, changed=result.changed)


if __name__ == "__main__":
    sys.exit(main())
