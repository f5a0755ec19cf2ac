"""When a stop that does not end is ended; and that it is over before Kubernetes kills."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from math import inf

import pytest

from pgqueue.config import WorkerSettings
from pgqueue.worker import stop_times
from pgqueue.worker.guard import Request

SETTINGS = WorkerSettings.of({"grace": 10.0, "deadline": 1.0})


@pytest.mark.parametrize(
    ("asked", "heard", "at"),
    [
        ([], [], (inf, inf)),
        ([100.0], [], (100.0, inf)),
        ([], [100.0], (100.0, inf)),
        ([100.1], [100.0], (100.0, inf)),  # a signal, and then its handler
        ([100.0, 103.0], [], (100.0, 103.0)),
        ([150.0], [100.0, 103.0], (100.0, 103.0)),  # no handler ran meanwhile
        ([100.1, 103.1, 109.0], [100.0, 103.0], (100.0, 103.0)),
    ],
)
def test_a_signal_counts_once(asked: list[float], heard: list[float], at: object) -> None:
    request = Request.of(asked, heard)
    assert (request.asked_at, request.forced_at) == at


@pytest.mark.parametrize(
    ("request_", "jobs", "everything"),
    [
        (Request(), inf, inf),
        (Request(100.0), 115.0, 133.0),  # grace, cancel; and a margin, three deadlines
        (Request(100.0, 103.0), 104.0, 126.0),
        (Request(100.0, 132.0), 115.0, 133.0),
    ],
)
def test_how_long_is_waited(request_: Request, jobs: float, everything: float) -> None:
    assert request_.jobs_end_at(SETTINGS) == jobs
    assert request_.all_ends_at(SETTINGS) == everything


def test_a_stop_is_over_before_kubernetes_kills() -> None:
    jobs = Request(0.0).jobs_end_at(WorkerSettings())
    assert jobs + stop_times.PROBE_SECONDS + stop_times.RELEASE_SECONDS < 30.0
    assert jobs + stop_times.SLOTS_SECONDS + stop_times.CLOSE_SECONDS < 30.0


ENDS = """
import sys
from pgqueue.worker.guard import Guard

Guard().ended(3)
print("a word")
sys.exit(4)
"""


@pytest.mark.alone
def test_the_end_of_the_interpreter_says_nothing() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (4, b"a word\n", b"")


@pytest.mark.alone
def test_a_process_ends_though_nobody_reads_what_it_printed() -> None:
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        ended = subprocess.run(
            [sys.executable, "-c", ENDS], stdout=writer, stderr=subprocess.PIPE, timeout=60
        )
        assert ended.returncode == 3
        assert b"Traceback" not in ended.stderr
    finally:
        os.close(reader)
        os.close(writer)
