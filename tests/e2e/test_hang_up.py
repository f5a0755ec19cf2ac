"""HUP and a worker without a supervisor: it goes on with new code, under the same id."""

from __future__ import annotations

from signal import SIGHUP, SIGTERM

from tests.e2e.service import Queue, Service
from tests.harness.waiting import wait_until


def ids(queue: Queue) -> list[int]:
    return [worker for (worker,) in queue.rows("select id from pgqueue.worker")]


def test_it_finishes_its_jobs_and_begins_anew_with_the_new_code(queue: Queue) -> None:
    job = queue.enqueue("gated")
    with Service(queue) as service:
        service.until_started()
        before = ids(queue)
        queue.until_begun(job)
        code = (queue.home / "jobs.py").read_text()
        (queue.home / "jobs.py").write_text(f"print('the new code', flush=True)\n{code}")
        service.send(SIGHUP)
        queue.open()
        service.until_logged("SIGHUP: beginning anew")
        service.until_logged("the new code")
        wait_until(lambda: ids(queue) not in ([], before), what="a new worker is registered")
        assert queue.workers() == [service.pid]
        queue.until_state("completed", job)
        assert queue.job(job)["attempt"] == 1
        service.send(SIGTERM)
        assert service.wait() == 0
    assert queue.workers() == []


def test_a_term_after_it_has_the_last_word(queue: Queue) -> None:
    job = queue.enqueue("gated")
    with Service(queue) as service:
        service.until_started()
        queue.until_begun(job)
        service.send(SIGHUP)
        wait_until(lambda: queue.rows("select from pgqueue.worker where stopping"))
        service.send(SIGTERM)
        assert service.wait() == 0
        assert "beginning anew" not in service.log()
    assert queue.job(job)["state"] == "pending"
