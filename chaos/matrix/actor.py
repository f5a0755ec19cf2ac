"""A process of a case: what it is told to do, whether it came to its failpoint, how it ended."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.harness.processes import Program

__all__ = ["Actor"]


class Actor(Program):
    """``python -m chaos.matrix.victim``."""

    def __init__(
        self, name: str, what: str, home: Path, config: dict[str, Any], failpoint: str = ""
    ) -> None:
        self.name = name
        full = {**config, "what": what, "home": str(home), "role": name}
        super().__init__(
            [sys.executable, "-m", "chaos.matrix.victim", json.dumps(full)],
            home / f"{name}.log",
            env={"PGQUEUE_FAILPOINT": failpoint or None},
        )

    @property
    def said(self) -> str:
        """The end of its log."""
        return self.log()[-2000:]

    async def hit(self, point: str, seconds: float) -> float | None:
        """Return when it came to its failpoint; None if it did not."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ended = self.code is not None
            if f"failpoint {point}: " in self.log():
                return time.monotonic()
            if ended:
                return None
            await asyncio.sleep(0.02)
        return None
