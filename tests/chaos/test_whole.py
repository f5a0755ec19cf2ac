"""The rules about a run as a whole."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chaos.exits import exits
from chaos.findings import Findings
from chaos.load import Diary
from chaos.windows import Windows
from chaos.world import World

from chaos import whole
from pgqueue.config import WorkerSettings
from pgqueue.observe.lines import TextFormatter
from pgqueue.worker.guard import Guard, Request

OFFSET = 1_800_000_000.0
LINES = [
    {"f": "clock", "offset": OFFSET, "t": 0.0},
    {"f": "strike", "n": 1, "name": "worker-clock", "t": 100.0},
    {"f": "heal", "n": 1, "name": "worker-clock", "t": 110.0},
    {"f": "strike", "n": 2, "name": "outage", "t": 100.0},
    {"f": "heal", "n": 2, "name": "outage", "t": 210.0},
]


@pytest.mark.invariant("I22")
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
def test_a_process_that_cannot_start_is_excused_by_a_fault_of_that_time(
    tmp_path: Path, said_at: float, code: str, ok: bool
) -> None:
    at = datetime.fromtimestamp(OFFSET + said_at, UTC).isoformat(timespec="milliseconds")
    (tmp_path / "worker-0.log").write_text(
        f"{at} error pgqueue.supervisor process 1 (pid 8) ended with exit code {code}\n"
    )
    findings = Findings()
    world = World(faults=Windows([(100.0, 210.0)]))
    whole.survived(Diary(lines=LINES), world, tmp_path, findings, [])
    assert ("I22" not in findings.violations) == ok


GUARD = (
    "error pgqueue.worker a job blocks the event loop, so the worker cannot stop; "
    "its jobs are released, and the process ends"
)
ENDED = "error pgqueue.supervisor process 1 (pid 8) ended with exit code 1"
ME, EARLIER = "worker-0-8-abcdef", "worker-0-8-000000"


@pytest.mark.invariant("I22")
@pytest.mark.parametrize(
    ("lines", "blocks", "last", "violations"),
    [
        ([GUARD, ENDED], [(ME, None)], 304.0, 0),
        ([GUARD, ENDED], [(ME, 302.0)], 304.0, 0),  # it was over while its jobs were released
        ([GUARD, ENDED], [(EARLIER, None), (ME, None)], 304.0, 0),
        # no job blocked that process then
        ([GUARD, ENDED], [], 304.0, 1),
        ([GUARD, ENDED], [(ME, 290.0)], 304.0, 1),
        ([GUARD, ENDED], [(ME, None)], 204.0, 1),
        ([GUARD, ENDED], [("worker-0-9-abcdef", None)], 304.0, 1),
        ([GUARD, ENDED], [("worker-1-8-abcdef", None)], 304.0, 1),
        # it was not its guard
        ([ENDED], [(ME, None)], 304.0, 1),
        ([ENDED, GUARD], [(ME, None)], 304.0, 1),
        ([GUARD, f"{ENDED}: no memory"], [(ME, None)], 304.0, 1),
        ([GUARD, f"{ENDED[:-1]}3"], [(ME, None)], 304.0, 1),
        ([GUARD, ENDED.replace("ended with exit code 1", "left without stopping its worker")],
         [(ME, None)], 304.0, 1),
        ([GUARD.replace("a job blocks", "nobody blocks"), ENDED], [(ME, None)], 304.0, 1),
        ([GUARD.replace("worker", "supervisor", 1), ENDED], [(ME, None)], 304.0, 1),
        # once for each word of a guard
        ([GUARD, ENDED, ENDED], [(ME, None)], 304.0, 1),
        ([GUARD, ENDED, GUARD, ENDED], [(ME, None)], 304.0, 0),
    ],
)  # fmt: skip
def test_a_process_that_its_guard_ended_is_excused_if_a_job_blocked_it(
    tmp_path: Path,
    lines: list[str],
    blocks: list[tuple[str, float | None]],
    last: float,
    violations: int,
) -> None:
    at = datetime.fromtimestamp(OFFSET + 305.0, UTC).isoformat(timespec="milliseconds")
    (tmp_path / "worker-0.log").write_text("".join(f"{at} {line}\n" for line in lines))
    findings = Findings()
    diary = Diary(lines=LINES, last_lines={**{name: last for name, _ in blocks}, EARLIER: 100.0})
    whole.survived(diary, World(), tmp_path, findings, blocks)
    assert findings.violations["I22"] == violations


@pytest.mark.invariant("I22")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_word_of_a_guard_is_the_guards_own(caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int] = []
    ended = threading.Event()

    def leave(code: int) -> None:
        codes.append(code)
        ended.set()

    guard, settings = Guard(leave, probe_seconds=0.01), WorkerSettings(deadline=600.0)
    loop = asyncio.new_event_loop()  # it never runs, as if a job blocked it
    guard.watch(settings, loop, say_stopping=int, release=float)
    guard.ask(time.monotonic() - Request(0.0).jobs_end_at(settings))
    assert ended.wait(60.0)
    loop.close()
    (record,) = caplog.records
    log = f"{TextFormatter().format(record)}\n2026-11-30T00:00:00.000+00:00 {ENDED}\n"
    (end,) = exits(log)
    assert (end.guarded, [end.code], end.pid) == (True, [str(code) for code in codes], 8)
