"""A worker whose job leaks every file descriptor that the process may have."""

from __future__ import annotations

import pytest

from tests.e2e.service import Queue, Service
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.together

LEAK = """

kept = []


def leak_on() -> None:
    pause = threading.Event()
    while True:
        try:
            kept.append(open("/dev/null"))
        except OSError:
            pause.wait(0.001)


@app.task
async def leak() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    threading.Thread(target=leak_on, daemon=True).start()
    while len(kept) < 100:
        await asyncio.sleep(0.01)
"""


def test_it_writes_while_it_can_and_gives_itself_up_when_it_cannot(queue: Queue) -> None:
    with (queue.home / "jobs.py").open("a") as module:
        module.write(LEAK)
    with Service(queue, "--processes", "1", "--lease", "6") as service:
        # Before its first outcome it has no connection for outcomes.
        queue.until_state("completed", queue.enqueue("instant"), timeout_s=60)
        queue.until_state("completed", queue.enqueue("leak"), timeout_s=60)
        # It goes on with the connections that it has.
        queue.until_state("completed", queue.enqueue("instant"), timeout_s=60)
        # Its connection for outcomes ends, and there is no descriptor for another one.
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"
        queue.rows(ended, "pgqueue finish")
        left = queue.enqueue("instant")
        wait_until(lambda: queue.job(left)["state"] == "running", timeout_s=60, what="it runs")
        assert service.wait(120) != 0
        assert "no file descriptors left (limit 200)" in service.log()
        assert "giving up, so that others take over" in service.log()
    with Service(queue, "--processes", "1", "--lease", "6") as service:
        queue.until_state("completed", left, timeout_s=60)
