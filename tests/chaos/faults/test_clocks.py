"""Clocks that jump."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chaos.faults.clocks import faked, set_clock
from tests.chaos.small import SmallArena


@pytest.mark.fault("F26")
def test_a_clock_jumps_and_the_monotonic_one_does_not(tmp_path: Path) -> None:
    offsets = tmp_path / "clock"
    set_clock(offsets, 0)
    code = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **faked(offsets)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def now() -> tuple[float, float]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = map(float, process.stdout.readline().split())
            return wall, monotonic

        wall, monotonic = now()
        set_clock(offsets, 3600)
        later, monotonic_later = now()
        process.stdin.close()
    assert 3599 < later - wall < 3610
    assert monotonic_later - monotonic < 10


def _maps(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/maps").read_text()
    return ""


@pytest.mark.fault("F26")
async def test_worker_clock(arena: SmallArena) -> None:
    async def preloaded() -> Any:
        return any("libfaketime" in _maps(pid) for pid in arena.pids())

    await arena.strike("worker-clock", preloaded)
    assert len(arena.last("jumped")["by"]) > 1
    assert not await preloaded()
