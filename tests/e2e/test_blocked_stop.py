"""A stop that a job tries to prevent: by keeping the event loop, in Python or inside a call."""

from __future__ import annotations

from signal import SIGTERM

import pytest

from tests.e2e.service import Queue, Service
from tests.harness.waiting import wait_until

both = pytest.mark.parametrize("processes", ["1", "2"], ids=["alone", "supervised"])
SPIN, HANG = "spin", "hang_in_a_call"
UVLOOP, ASYNCIO = "--uvloop", "--no-uvloop"


def ways(*cases: tuple[str, str, str]) -> pytest.MarkDecorator:
    """What hangs uses no processor, so it bears neighbours."""
    params = [
        pytest.param(*case, marks=[pytest.mark.together] if case[1] == HANG else [])
        for case in cases
    ]
    return pytest.mark.parametrize(("processes", "task", "loop"), params)


def blocked(queue: Queue, service: Service, task: str) -> list[int]:
    """Let it run such a job, and beside it one that waits."""
    waits = queue.enqueue("gated")
    queue.until_begun(waits)
    blocks = queue.enqueue(task)
    queue.until_begun(blocks)
    service.until_logged("the event loop has been blocked", timeout_s=60)
    return [waits, blocks]


def released(queue: Queue, jobs: list[int]) -> None:
    """They are ready again, and the end of their worker counts against none of them."""
    for job in jobs:
        row = queue.job(job)
        assert (row["state"], row["attempt"], row["crash_count"]) == ("pending", 0, 0)
    assert queue.workers() == []


@ways(("1", SPIN, UVLOOP), ("1", HANG, UVLOOP), ("1", HANG, ASYNCIO), ("2", SPIN, ASYNCIO))
def test_a_job_that_keeps_the_loop_is_left_behind_when_the_grace_is_over(
    queue: Queue, processes: str, task: str, loop: str
) -> None:
    with Service(queue, "--processes", processes, "--grace", "0.1", loop) as service:
        service.until_started()
        jobs = blocked(queue, service, task)
        service.send(SIGTERM)
        assert service.wait(60) == 1
        assert "a job blocks the event loop, so the worker cannot stop" in service.log()
        assert service.left() == []
    released(queue, jobs)


@ways(("1", SPIN, ASYNCIO), ("1", HANG, ASYNCIO), ("2", HANG, UVLOOP))
def test_the_second_signal_leaves_it_behind_at_once(
    queue: Queue, processes: str, task: str, loop: str
) -> None:
    with Service(queue, "--processes", processes, "--grace", "600", loop) as service:
        service.until_started()
        jobs = blocked(queue, service, task)
        service.send(SIGTERM)
        wait_until(
            lambda: queue.rows("select bool_or(stopping) from pgqueue.worker") == [(True,)],
            timeout_s=60,
            what="the worker says that it stops",
        )
        service.send(SIGTERM)
        assert service.wait(60) == 1
    released(queue, jobs)


@both
def test_what_has_succeeded_is_not_run_again(queue: Queue, processes: str) -> None:
    """The job before it in the same turn of the loop is done, and nobody could write so."""
    with Service(queue, "--processes", processes, "--grace", "600") as service:
        service.until_started()
        jobs = queue.client.enqueue_many([queue.client.job("quick"), queue.client.job("spin")])
        quick, spin = (job.id for job in jobs)
        queue.until_begun(spin)
        service.send(SIGTERM)
        wait_until(
            lambda: queue.rows("select bool_or(stopping) from pgqueue.worker") == [(True,)],
            timeout_s=60,
            what="the worker says that it stops",
        )
        service.send(SIGTERM)
        assert service.wait(60) == 1
    assert queue.job(quick)["state"] == "completed"
    released(queue, [spin])
