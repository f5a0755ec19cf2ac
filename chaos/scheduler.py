"""``python -m chaos.scheduler CONFIG``: makes schedules, and changes them while they fire.

It pauses all of them in calm, and at the end, so that the queue runs empty. All of them are such
that ``chaos.slots`` knows their slots.
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
from chaos.tasks import CODE, app
from pgqueue.schedule.settings import ScheduleOptions

__all__ = ["ROWS", "TIMES", "main"]

ROWS: Mapping[str, ScheduleOptions] = {
    "each second": {"cron": "* * * * * *", "misfire": "all"},
    "interval": {"every": 2},
    "skip": {"cron": "*/3 * * * * *", "zone": "Asia/Kathmandu", "misfire": "skip", "grace": 4.0},
    "few": {"every": 1, "misfire": "all", "misfire_most": 3},
    "jitter": {"cron": "*/2 * * * * *", "misfire": "all", "jitter": 1.5},
}
TIMES: Sequence[ScheduleOptions] = (
    {"cron": "* * * * * *"},
    {"cron": "*/4 * * * * *", "zone": "America/Havana"},
    {"every": 1},
    {"every": 5},
)


def main() -> int:
    config: dict[str, Any] = json.loads(sys.argv[1])
    operator = _Operator(History(config["home"], "scheduler"), config["seed"])
    control = Control(config["control"])
    for n, (name, settings) in enumerate(ROWS.items(), 1):
        operator.insist("set", name, task="tick", args={"k": -n}, **settings)
    while not (word := control.heard()).stop:
        if word.calm:
            operator.each("pause")
            while (word := control.heard()).calm and not word.stop:
                time.sleep(0.05)
            operator.each("resume")
        operator.change()
        time.sleep(operator.rng.uniform(0.05, 0.3))
    operator.each("pause")
    app.close()
    return 0


class _Operator:
    def __init__(self, history: History, seed: int) -> None:
        self.rng = random.Random(f"{seed}-scheduler")
        self._history = history
        self._names = [*ROWS, *CODE]

    def change(self) -> None:
        """Change one of them, in one of the ways in which it can be changed."""
        name = self.rng.choice(self._names)
        match self.rng.choice(("pause", "times", "times", "priority", "reset", "run")):
            case "pause":
                self.insist("pause", name)
                time.sleep(self.rng.uniform(0.0, 1.5))
                self.insist("resume", name)
            case "times" if name in ROWS:
                self.once("set", name, **self.rng.choice(TIMES))
            case "priority":
                self.once("set", name, priority=self.rng.randint(0, 9))
            case "run":
                self.once("run", name)
            case _ if name in CODE:
                self.once("reset", name)
            case _:
                self.once("set", name, **ROWS[name])

    def each(self, verb: str) -> None:
        for name in self._names:
            self.insist(verb, name)

    def insist(self, verb: str, name: str, **fields: Any) -> None:
        """Try until it is done."""
        while not self.once(verb, name, **fields):
            time.sleep(0.1)

    def once(self, verb: str, name: str, **fields: Any) -> bool:
        call: Callable[..., object] = getattr(app.schedules, verb)
        self._history.write(f="schedule", y="invoke", v=verb, n=name)
        try:
            call(name, **fields)
        except Exception as exc:
            why = f"{type(exc).__name__}: {exc}"[:120]
            self._history.write(f="schedule", y="info", v=verb, n=name, why=why)
            return False
        self._history.write(f="schedule", y="ok", v=verb, n=name)
        return True


if __name__ == "__main__":
    sys.exit(main())
