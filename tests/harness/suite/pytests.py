"""Starts pytest for a part of the suite."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.harness.suite.results import Notes, read

__all__ = ["Pytests", "end_of"]

# A test that hangs ends its process sooner (faulthandler_timeout). But xdist waits for ever for a
# process that died after it had been told to end.
_SILENT_SECONDS = float(os.environ.get("PGQUEUE_TEST_SILENCE", "900"))


class Pytests:
    """Runs pytest, leaves its notes in ``home``, and knows how long each part took."""

    def __init__(self, home: Path, *, long: bool) -> None:
        self._home = home
        self._long = ["--long"] if long else []
        self.seconds: dict[str, float] = {}

    def run(self, part: str, arguments: Sequence[str]) -> Notes:
        """Run one part to its end. What hangs is ended, and what had not run then is run."""
        found, hung = self._run(part, arguments)
        if hung and found.missing:
            rest, hung = self._run(f"{part}, the rest", self._only(found.missing, "1"))
            found = found.and_then(rest)
        return found.broken_by("pytest hung twice") if hung else found

    def run_only(self, part: str, tests: Sequence[str], workers: str) -> Notes:
        """Run these tests, one at a time."""
        return self.run(part, self._only(tests, workers))

    def _only(self, tests: Sequence[str], workers: str) -> list[str]:
        ids = self._home / "only.txt"
        ids.write_text("\n".join(tests))
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        return [f"--suite-only={ids}", "-n", workers, *files]

    def _run(self, part: str, arguments: Sequence[str]) -> tuple[Notes, bool]:
        notes = self._home / f"{part.replace(' ', '-')}.jsonl"
        notes.touch()
        began = time.monotonic()
        print(f"\n== {part}", flush=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", f"--suite-notes={notes}", *self._long, *arguments]
        )
        code = end_of(process, notes)
        self.seconds[part] = time.monotonic() - began
        if code is None:
            print(f"\npytest noted nothing for {_SILENT_SECONDS:g} s: it hung, and was killed")
        return read(notes.read_text().splitlines(), code or 0), code is None


class Process(Protocol):
    """What is needed of a ``Popen``."""

    def wait(self, timeout: float | None = None, /) -> int: ...
    def kill(self) -> None: ...


def end_of(process: Process, notes: Path) -> int | None:
    """Return the exit code; None if the process was killed since it noted nothing for so long."""
    while True:
        size = notes.stat().st_size
        try:
            return process.wait(_SILENT_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        except BaseException:
            process.kill()
            raise
        if notes.stat().st_size == size:
            process.kill()
            process.wait()
            return None
