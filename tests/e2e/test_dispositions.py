"""Signals that are ignored when a worker begins: HUP and INT stay so, TERM stops."""

from __future__ import annotations

import signal
from signal import SIGCHLD, SIGHUP, SIGINT, SIGTERM

import pytest

from pgqueue.worker.signals import heard
from tests.e2e.service import Queue, Service

# As nohup and the background of a script leave them.
IGNORING = ("sh", "-c", 'trap "" HUP INT QUIT TERM; exec "$@"', "sh")


@pytest.mark.parametrize("number", [SIGHUP, SIGINT, SIGTERM, SIGCHLD])
@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, lambda *_: None])
def test_what_is_heard(number: signal.Signals, handler: signal.Handlers) -> None:
    before = signal.signal(number, handler)
    try:
        stays_ignored = handler is signal.SIG_IGN and number in (SIGHUP, SIGINT)
        assert (number in heard([SIGTERM, number])) != stays_ignored
        assert SIGTERM in heard([SIGTERM, number])
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("processes", ["1", "2"], ids=["single", "supervised"])
def test_hup_and_int_that_were_ignored_stay_ignored_and_term_stops(
    queue: Queue, processes: str
) -> None:
    with Service(queue, "--processes", processes, prefix=IGNORING) as service:
        before = service.until_started()
        for number in (SIGHUP, SIGINT):
            service.send_group(number)
        jobs = [queue.enqueue("quick") for _ in range(20)]
        queue.until_state("completed", *jobs)
        assert queue.workers() == before
        service.send(SIGTERM)
        assert service.wait() == 0
        log = service.log()
    assert "SIGTERM: stopping" in log
    assert "SIGHUP" not in log
    assert "SIGINT" not in log
    assert "stopped by itself" not in log
