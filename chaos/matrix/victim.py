"""``python -m chaos.matrix.victim CONFIG``: a process that comes to a failpoint, or takes over.

What PGQUEUE_FAILPOINT says is armed in this process, and not in those that it starts.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from pgqueue import failpoints
from pgqueue.observe.logs import configure

__all__ = ["main"]


def main() -> int:
    config: dict[str, Any] = json.loads(sys.argv[1])
    os.environ["CHAOS_CONFIG"] = sys.argv[1]
    os.environ["PGQUEUE_DSN"] = config["dsn"]
    failpoints.arm_from_environment()
    os.environ.pop(failpoints.VARIABLE, None)
    configure("warning", "text")
    match config["what"]:
        case "worker":
            return _work(config)
        case "supervisor":
            return _supervise(config)
        case "producer":
            return _produce(config)
        case _:
            return _migrate(config)


def _work(config: dict[str, Any]) -> int:
    from chaos.matrix.app import app
    from pgqueue import Worker

    asyncio.run(Worker(app, **config["settings"]).run(signals=True))
    return 0


def _supervise(config: dict[str, Any]) -> int:
    from pgqueue.supervisor.supervisor import Supervisor

    return Supervisor(
        "chaos.matrix.app:app",
        settings=config["settings"],
        processes=1,
        dsn=config["dsn"],
        log_level="warning",
    ).run()


def _produce(config: dict[str, Any]) -> int:
    from chaos.matrix.load import Load

    with Load(Path(config["home"]), config["dsn"]) as load:
        load.one_by_one()
        load.bulk()
    return 0


def _migrate(config: dict[str, Any]) -> int:
    from pgqueue.db.migrate import migrate

    asyncio.run(migrate(config["dsn"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
