"""``pgqueue worker`` that is started before its server."""

from __future__ import annotations

from signal import SIGTERM

import pytest

from tests.e2e.service import Queue, Service
from tests.harness.proxy import Proxy

pytestmark = pytest.mark.alone

both = pytest.mark.parametrize("processes", ["1", "2"], ids=["alone", "supervised"])
WAITS = "the worker waits for its server before it starts"


@both
def test_it_waits_and_then_works(queue: Queue, proxy: Proxy, processes: str) -> None:
    job = queue.enqueue("quick")
    proxy.refuse()
    with Service(queue, "--processes", processes, PGQUEUE_DSN=proxy.dsn) as service:
        service.until_logged(WAITS, timeout_s=60)
        proxy.heal()
        queue.until_state("completed", job, timeout_s=60)
        service.until_started()
        service.send(SIGTERM)
        assert service.wait(60) == 0
        log = service.log()
    assert log.count(WAITS) <= int(processes)
    assert log.count("the server is there, after") == log.count(WAITS)
    assert "ended with exit code" not in log


@both
def test_a_signal_ends_the_wait(queue: Queue, processes: str) -> None:
    nowhere = "postgresql://u:geheim@127.0.0.1:1/x"
    with Service(queue, "--processes", processes, PGQUEUE_DSN=nowhere) as service:
        service.until_logged(WAITS, timeout_s=60)
        service.send(SIGTERM)
        assert service.wait(60) == 0
        assert service.left() == []
        log = service.log()
    assert "cannot connect to postgresql://u:***@127.0.0.1:1/x" in log
    assert "geheim" not in log
    assert "Traceback" not in log
