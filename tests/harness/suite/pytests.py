"""Starts pytest for a part of the suite."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.harness.suite.results import Notes, read

__all__ = ["Pytests"]


class Pytests:
    """Runs pytest, leaves its notes in ``home``, and knows how long each part took."""

    def __init__(self, home: Path, *, long: bool) -> None:
        self._home = home
        self._long = ["--long"] if long else []
        self.seconds: dict[str, float] = {}

    def run(self, part: str, arguments: Sequence[str]) -> Notes:
        """Run one part to its end, whatever that is."""
        notes = self._home / f"{part.replace(' ', '-')}.jsonl"
        notes.touch()
        began = time.monotonic()
        print(f"\n== {part}", flush=True)
        code = subprocess.call(
            [sys.executable, "-m", "pytest", f"--suite-notes={notes}", *self._long, *arguments]
        )
        self.seconds[part] = time.monotonic() - began
        return read(notes.read_text().splitlines(), code)

    def run_only(self, part: str, tests: Sequence[str], workers: str) -> Notes:
        """Run these tests, one at a time."""
        ids = self._home / "again.txt"
        ids.write_text("\n".join(tests))
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        return self.run(part, [f"--suite-only={ids}", "-n", workers, *files])
