"""``python -m chaos.limiter CONFIG``: changes the limits of flows, and pauses them, while they run.

In calm, and at the end, what code declares holds again, and nothing is paused.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from chaos.control import Control
from chaos.history import History
from chaos.tasks import app
from pgqueue.errors import ConfigError

__all__ = ["main"]

_LIMITS: Sequence[dict[str, int]] = (
    {"concurrency": 3, "key_concurrency": 1},
    {"concurrency": 40, "key_concurrency": 5},
    {"concurrency": 1},
    {"key_concurrency": 3},
)


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
        time.sleep(operator.rng.uniform(0.1, 0.5))
    operator.restore()
    operator.history.write(f="bye")
    app.close()
    return 0


class _Operator:
    def __init__(self, history: History, seed: int) -> None:
        self.rng = random.Random(f"{seed}-limiter")
        self.history = history

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

    def insist(self, verb: str, flow: str, **fields: Any) -> None:
        """Try until it is done."""
        while not self.once(verb, flow, **fields):
            time.sleep(0.1)

    def once(self, verb: str, flow: str, **fields: Any) -> bool:
        call: Callable[..., object] = getattr(app.flows, verb)
        self.history.write(f="flow", y="invoke", v=verb, n=flow, **fields)
        try:
            call(flow, **fields)
        except ConfigError:
            pass  # no worker has declared it yet
        except Exception as exc:
            why = f"{type(exc).__name__}: {exc}"[:120]
            self.history.write(f="flow", y="info", v=verb, n=flow, why=why)
            return False
        self.history.write(f="flow", y="ok", v=verb, n=flow)
        return True


if __name__ == "__main__":
    sys.exit(main())
