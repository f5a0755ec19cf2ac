"""The measurement of schedules works: few of them, few workers, and some are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_each_slot_has_one_job_while_workers_are_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.schedules", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,  # against a hang
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    for figure in ("slots that came", "workers killed", "late, p99"):
        assert figure in done.stdout
