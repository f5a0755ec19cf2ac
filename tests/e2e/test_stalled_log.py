"""A log that nobody reads, one that the application configures, one that a forked job writes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

import psutil
import pytest

from tests.e2e.service import Queue, Service
from tests.harness.waiting import wait_until

both = pytest.mark.parametrize("processes", ["1", "2"], ids=["alone", "supervised"])

FAILING = """
@app.task(retry=lambda attempt, error: None)
async def boom() -> None:
    raise ValueError("x" * 2000)
"""
CONFIGURED = """
import logging, logging.config, sys
logging.config.dictConfig({
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
})
"""
ADDED = """
import logging
logging.getLogger().addHandler(logging.StreamHandler())
"""
OTHERS_ONLY = """
import logging.config
logging.config.dictConfig({"version": 1, "loggers": {"shop": {"level": "DEBUG"}}})
"""
ITS_OWN = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "formatters": {"ours": {"format": "OWN %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "ours"}},
    "loggers": {"pgqueue": {"handlers": ["console"], "level": "INFO", "propagate": False}},
})
"""
IN_A_JOB = """
@app.task
async def configure() -> None:
    import logging, logging.config
    logging.config.dictConfig({
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"], "level": "INFO"},
    })
"""
FORKING = """
import logging
shop = logging.getLogger("shop")

@app.task
async def fork() -> None:
    for n in range(20):
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            shop.warning("the child %d says it", n)
            logging.getLogger("pgqueue.worker").warning("the child %d logs it", n)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
"""


class Stalled:
    """A worker whose stdout and stderr are a pipe that nobody reads, until somebody does."""

    def __init__(self, queue: Queue, *options: str) -> None:
        self._end, theirs = os.pipe()
        code = "from pgqueue.cli import main; main()"
        self.popen = subprocess.Popen(
            [sys.executable, "-c", code, "worker", "jobs:app", *options],
            cwd=queue.home,
            env={**os.environ, "PGQUEUE_DSN": queue.dsn},
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._parts: list[bytes] = []
        self._thread = threading.Thread(target=self._read_all)

    def read(self) -> None:
        self._thread.start()

    def _read_all(self) -> None:
        while part := os.read(self._end, 65536):
            self._parts.append(part)

    def text(self) -> str:
        return b"".join(self._parts).decode()

    def close(self) -> None:
        family = [self.popen]
        if self.popen.poll() is None:
            family += psutil.Process(self.popen.pid).children(recursive=True)
        for process in family:
            process.kill()
        self.popen.wait()
        if self._thread.ident is None:
            self.read()
        self._thread.join(30)
        os.close(self._end)


def prepare(queue: Queue, config: str = "", more: str = FAILING) -> None:
    file = queue.home / "jobs.py"
    file.write_text(config + file.read_text() + more)


@contextmanager
def stalled(queue: Queue, processes: str, config: str = "") -> Iterator[Stalled]:
    """Such a worker for the body, of an app that begins with that."""
    prepare(queue, config)
    worker = Stalled(queue, "--processes", processes, "--heartbeat", "0.5")
    try:
        wait_until(lambda: queue.workers(), timeout_s=60, what="a worker is there")
        yield worker
    finally:
        worker.close()


def fail_many(queue: Queue) -> None:
    """Some megabytes of log, and then two more beats of every heart."""
    count = 3000
    queue.enqueue_many("boom", count)
    wait_until(lambda: queue.states() == {"dead": count}, timeout_s=120, what="all have failed")
    beats = "select min(heartbeat_at), count(*) from pgqueue.worker"
    for _ in range(2):
        ((before, workers),) = queue.rows(beats)
        wait_until(
            lambda before=before, workers=workers: (
                (now := queue.rows(beats)[0])[0] > before and now[1] == workers
            ),
            timeout_s=30,
            what="every worker's heartbeat goes on",
        )


@pytest.mark.report("f07")
@pytest.mark.together
@both
@pytest.mark.parametrize("config", ["", CONFIGURED, ITS_OWN], ids=["plain", "root", "pgqueue"])
def test_a_worker_whose_log_nobody_reads_works_on_and_ends(
    queue: Queue, processes: str, config: str
) -> None:
    with stalled(queue, processes, config) as worker:
        fail_many(queue)
        worker.popen.send_signal(SIGTERM)
        assert worker.popen.wait(60) == 0
        assert queue.workers() == []


@pytest.mark.report("f07")
@pytest.mark.together
def test_what_was_dropped_is_counted_once_somebody_reads(queue: Queue) -> None:
    with stalled(queue, "1") as worker:
        for _ in range(2):
            fail_many(queue)
            queue.rows("delete from pgqueue.dead returning 1")
        worker.read()
        said = "lines of the log were dropped here"
        wait_until(lambda: said in worker.text(), timeout_s=60, what="it is said")
        worker.popen.send_signal(SIGTERM)
        assert worker.popen.wait(60) == 0
        wait_until(lambda: "worker stopped" in worker.text(), timeout_s=60, what="the last line")


@pytest.mark.report("m34")
@both
@pytest.mark.parametrize(
    "config", [CONFIGURED, ADDED, OTHERS_ONLY, ITS_OWN], ids=["root", "added", "others", "pgqueue"]
)
def test_a_worker_is_heard_once_whatever_the_application_configures(
    queue: Queue, processes: str, config: str
) -> None:
    prepare(queue, config)
    job = queue.enqueue("boom")
    with Service(queue, "--processes", processes) as service:
        wait_until(
            lambda: service.log().count("worker started") == int(processes), timeout_s=60,
            what="all have started",
        )  # fmt: skip
        queue.until_state("dead", job, timeout_s=60)
        service.send(SIGTERM)
        assert service.wait(60) == 0
        log = service.log()
    assert log.count("worker started") == int(processes)
    assert log.count("worker stopped") == int(processes)
    assert log.count(f"job {job} (boom)") == 1


@both
def test_a_worker_is_heard_again_after_a_job_configured_logging(
    queue: Queue, processes: str
) -> None:
    prepare(queue, more=IN_A_JOB)
    job = queue.enqueue("configure")
    with Service(queue, "--processes", processes, "--summary-interval", "0.2") as service:
        queue.until_state("completed", job, timeout_s=60)
        service.until_logged("1 completed")
        service.send(SIGTERM)
        assert service.wait(60) == 0
        assert service.log().count("worker stopped") == int(processes)


@both
def test_an_app_can_keep_all_of_logging_to_itself(queue: Queue, processes: str) -> None:
    prepare(queue)
    job = queue.enqueue("instant")
    with Service(queue, "--processes", processes, "--no-logging") as service:
        queue.until_state("completed", job, timeout_s=60)
        service.send(SIGTERM)
        assert service.wait(60) == 0
        assert service.log() == ""


def test_what_a_forked_job_logs_is_written(queue: Queue) -> None:
    prepare(queue, more=FORKING)
    job = queue.enqueue("fork")
    with Service(queue) as service:
        queue.until_state("completed", job, timeout_s=60)
        service.send(SIGTERM)
        assert service.wait(60) == 0
        log = service.log()
    for n in range(20):
        assert log.count(f"the child {n} says it") == 1
        assert log.count(f"the child {n} logs it") == 1


def test_nothing_is_lost_when_a_process_ends(queue: Queue, tmp_path: Path) -> None:
    """At the interpreter's end, and where it is cut short."""
    for ending in ("pass", "from pgqueue.observe.aside import leave; leave(0)"):
        code = (
            "import logging\n"
            "from pgqueue.observe.logs import configure, defer\n"
            "configure(); defer()\n"
            "for n in range(3_000): logging.getLogger('pgqueue.worker').info('line %d.', n)\n"
            f"{ending}\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0
        assert [line.split()[-1] for line in done.stderr.splitlines()] == [
            f"{n}." for n in range(3_000)
        ]
