"""A worker whose files are removed while it runs, as an upgrade in place does."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

import pgqueue
from tests.e2e.service import Queue, Service
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.alone


def test_every_outcome_is_written_after_the_packages_files_are_gone(
    queue: Queue, tmp_path: Path
) -> None:
    """Each outcome has its SQL in a file: none of them is read only when it is first needed."""
    release = tmp_path / "release"
    shutil.copytree(Path(pgqueue.__file__).parent, release / "pgqueue")
    tasks = (
        "@app.task\nasync def snoozes() -> None:\n    raise pgqueue.Snooze(3600)\n"
        "@app.task\nasync def fails() -> None:\n    raise ValueError('no')\n"
        "@app.task\nasync def gives_up() -> None:\n    raise pgqueue.Discard('no use')\n"
    )
    with (queue.home / "jobs.py").open("a") as module:
        module.write(tasks)
    with Service(queue, "--processes", "1", PYTHONPATH=str(release)) as service:
        service.until_started()
        queue.until_state("completed", queue.enqueue("instant"))
        shutil.rmtree(release)
        queue.until_state("scheduled", queue.enqueue("snoozes"), timeout_s=30)
        queue.until_state("dead", queue.enqueue("gives_up"), timeout_s=30)
        queue.until_state("completed", queue.enqueue("instant"), timeout_s=30)
        failed = queue.enqueue("fails")
        wait_until(lambda: queue.job(failed)["errors"], timeout_s=30, what="the failure is written")
        service.send(signal.SIGTERM)
        assert service.wait(30) == 0
        assert "unwritten" not in service.log()
    assert not queue.workers()
