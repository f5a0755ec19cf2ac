"""``python -m chaos.limiter CONFIG``: changes the limits of flows and of queues while jobs run.

Flows it pauses as well.

In calm, and at the end, what code declares holds again, and nothing is paused.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaos.control import Control
from chaos.history import History
from chaos.tasks import app
from pgqueue.errors import ConfigError
from pgqueue.flow.queue_limits import QueueLimitOptions

__all__ = ["main"]

_LIMITS: Sequence[dict[str, int]] = (
    {"concurrency": 3, "key_concurrency": 1},
    {"concurrency": 40, "key_concurrency": 5},
    {"concurrency": 1},
    {"key_concurrency": 3},
)

# Some seconds apart: a rate that changes all the time cannot be judged.
_QUEUE_SECONDS = (2.0, 5.0)
_QUEUE_LIMITS: Mapping[str, Sequence[QueueLimitOptions]] = {
    "narrow": ({"concurrency": 1}, {"concurrency": 3}, {"concurrency": 6}),
    "paced": ({"rate": "6/s", "burst": 1}, {"rate": "60/s", "burst": 10}),
}


def main() -> int:
    config: dict[str, Any] = json.loads(sys.argv[1])
    operator = _Operator(History(config["home"], "limiter"), config["seed"])
    control = Control(config["control"])
    while not (word := control.heard()).stop:
        if word.calm:
            operator.restore()
            while (word := control.heard()).calm and not word.stop:
                time.sleep(0.05)
        operator.change()
        operator.change_queue()
        time.sleep(operator.rng.uniform(0.1, 0.5))
    operator.restore()
    operator.history.write(f="bye")
    app.close()
    return 0


class _Operator:
    def __init__(self, history: History, seed: int) -> None:
        self.rng = random.Random(f"{seed}-limiter")
        self.history = history
        self._queue_at = 0.0

    def change_queue(self) -> None:
        """Change the limits of a queue, if it is time to."""
        if time.monotonic() < self._queue_at:
            return
        self._queue_at = time.monotonic() + self.rng.uniform(*_QUEUE_SECONDS)
        queue = self.rng.choice(("narrow", "paced"))
        if self.rng.random() < 0.3:
            self.once("reset", queue, of=app.queue_limits)
        else:
            self.once("set", queue, of=app.queue_limits, **self.rng.choice(_QUEUE_LIMITS[queue]))

    def change(self) -> None:
        flow = self.rng.choice(("crowd", "ledger"))
        match self.rng.choice(("limits", "limits", "reset", "pause", "pause key")):
            case "limits" if flow == "crowd":
                self.once("set", flow, **self.rng.choice(_LIMITS))
            case "reset":
                self.once("reset", flow)
            case "pause key":
                key = f"g{self.rng.randrange(8)}"
                self.once("pause", flow, key=key, new=True)
                time.sleep(self.rng.uniform(0.0, 1.0))
                self.insist("resume", flow, key=key)
            case _:
                self.once("pause", flow)
                time.sleep(self.rng.uniform(0.0, 1.0))
                self.insist("resume", flow)

    def restore(self) -> None:
        for flow in ("crowd", "ledger"):
            self.insist("resume", flow)
            self.insist("reset", flow)
            for n in range(8):
                self.insist("resume", flow, key=f"g{n}")
        for queue in _QUEUE_LIMITS:
            self.insist("reset", queue, of=app.queue_limits)

    def insist(self, verb: str, name: str, **fields: Any) -> None:
        """Try until it is done."""
        while not self.once(verb, name, **fields):
            time.sleep(0.1)

    def once(self, verb: str, name: str, *, of: object = app.flows, **fields: Any) -> bool:
        """Do something to a flow, or to a queue with limits, and note how that went."""
        call: Callable[..., object] = getattr(of, verb)
        what = "flow" if of is app.flows else "queue limits"
        self.history.write(f=what, y="invoke", v=verb, n=name, **fields)
        try:
            call(name, **fields)
        except ConfigError:
            pass  # no worker has declared it yet
        except Exception as exc:
            why = f"{type(exc).__name__}: {exc}"[:120]
            self.history.write(f=what, y="info", v=verb, n=name, why=why)
            return False
        self.history.write(f=what, y="ok", v=verb, n=name)
        return True


if __name__ == "__main__":
    sys.exit(main())
