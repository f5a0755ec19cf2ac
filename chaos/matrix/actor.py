"""A process of a case: what it is told to do, whether it came to its failpoint, how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from chaos.arena import ROOT

__all__ = ["Actor"]


class Actor:
    """``python -m chaos.matrix.victim`` in a session of its own."""

    def __init__(
        self, name: str, what: str, home: Path, config: dict[str, Any], failpoint: str = ""
    ) -> None:
        self.name = name
        self._log = home / f"{name}.log"
        full = {**config, "what": what, "home": str(home), "role": name}
        env = {k: v for k, v in os.environ.items() if k != "PGQUEUE_FAILPOINT"}
        if failpoint:
            env["PGQUEUE_FAILPOINT"] = failpoint
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "chaos.matrix.victim", json.dumps(full)],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._popen.poll()

    @property
    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def children(self) -> list[int]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(self._popen.pid).children()]
        return []

    async def hit(self, point: str, seconds: float) -> float | None:
        """Return when it came to its failpoint; None if it did not."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ended = self.code is not None
            if f"failpoint {point}: " in self._log.read_text(errors="replace"):
                return time.monotonic()
            if ended:
                return None
            await asyncio.sleep(0.02)
        return None

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)

    async def ended(self, seconds: float) -> bool:
        """Wait for its end."""
        until = time.monotonic() + seconds
        while self.code is None and time.monotonic() < until:
            await asyncio.sleep(0.02)
        return self.code is not None

    def clear_away(self) -> None:
        """Leave neither it nor its children."""
        children = self.children()
        self.signal(signal.SIGKILL)
        self._popen.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
