"""The rules about a run as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from chaos.findings import Findings
from chaos.load import Diary
from chaos.windows import Windows
from chaos.world import World

from chaos import whole

OFFSET = 1_800_000_000.0
LINES = [
    {"f": "clock", "offset": OFFSET, "t": 0.0},
    {"f": "strike", "n": 1, "name": "worker-clock", "t": 100.0},
    {"f": "heal", "n": 1, "name": "worker-clock", "t": 110.0},
    {"f": "strike", "n": 2, "name": "outage", "t": 100.0},
    {"f": "heal", "n": 2, "name": "outage", "t": 210.0},
]


@pytest.mark.parametrize(
    ("said_at", "code", "ok"),
    [
        (105.0, "1: cannot connect", True),
        (105.0 + 3600, "1: cannot connect", True),
        (105.0 - 60, "1: cannot connect", True),
        (205.0 + 3600, "1: cannot connect", False),  # no clock was off then
        (305.0, "1: cannot connect", False),
        (105.0, "1", False),
        (305.0, "77", True),
    ],
)
def test_I22_a_process_that_cannot_start_is_excused_by_a_fault_of_that_time(
    tmp_path: Path, said_at: float, code: str, ok: bool
) -> None:
    at = datetime.fromtimestamp(OFFSET + said_at, UTC).isoformat(timespec="milliseconds")
    (tmp_path / "worker-0.log").write_text(
        f"{at} error pgqueue.supervisor process 1 (pid 8) ended with exit code {code}\n"
    )
    findings = Findings()
    world = World(faults=Windows([(100.0, 210.0)]))
    whole._survived(Diary(lines=LINES), world, tmp_path, findings)
    assert ("I22" not in findings.violations) == ok
