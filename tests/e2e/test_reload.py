"""``--reload``: processes are replaced when code changes, and kept while it is wrong."""

from __future__ import annotations

from pathlib import Path
from signal import SIGINT, SIGTERM

import pytest

from pgqueue.supervisor.reload import Reload, describe
from tests.e2e.service import Queue, Service
from tests.harness.waiting import wait_until

pytest.importorskip("watchfiles")
WRONG = "def f(:\n"


def edit(queue: Queue, text: str) -> None:
    """Replace the file in one step, as editors do."""
    new = queue.home / "jobs.py.new"
    new.write_text(text)
    new.rename(queue.home / "jobs.py")


@pytest.mark.parametrize("stop", [SIGTERM, SIGINT])
def test_an_edit_replaces_the_process_and_a_wrong_one_keeps_the_old(
    queue: Queue, stop: int
) -> None:
    code = (queue.home / "jobs.py").read_text()
    with Service(queue, "--processes", "1", "--reload") as service:
        service.until_started()
        (first,) = queue.workers()
        edit(queue, code + "\nx = 1\n")
        service.until_logged("jobs.py changed: replacing the processes one by one")
        wait_until(lambda: len(queue.workers()) == 1 and first not in queue.workers())
        (second,) = queue.workers()
        edit(queue, code + WRONG)
        service.until_logged("a new process does not start; keeping the old ones")
        assert any(
            "jobs.py, line " in line and "def f(:" in line for line in service.log().splitlines()
        )
        assert queue.workers() == [second]
        edit(queue, code)
        wait_until(lambda: len(queue.workers()) == 1 and second not in queue.workers())
        service.send(stop)
        assert service.wait() == 0
        assert service.left() == []
    assert queue.workers() == []


def test_code_that_is_wrong_at_the_start_is_waited_for(queue: Queue) -> None:
    code = (queue.home / "jobs.py").read_text()
    edit(queue, WRONG)
    with Service(queue, "--processes", "1", "--reload") as service:
        service.until_logged("waiting for a change in ")
        edit(queue, code)
        wait_until(lambda: queue.workers())
        service.send(SIGTERM)
        assert service.wait() == 0


def test_files_are_named_as_seen_from_the_project(tmp_path: Path) -> None:
    paths = {str(tmp_path / name) for name in ("b.py", "shop/a.py")}
    assert describe(paths, str(tmp_path)) == "b.py and 1 more"
    assert describe({str(tmp_path / "b.py")}, str(tmp_path)) == "b.py"
    assert describe((), str(tmp_path)) is None


def test_a_change_is_told_once_and_other_files_never(tmp_path: Path) -> None:
    reload = Reload(str(tmp_path))
    told: list[str] = []

    def look() -> bool:
        told.extend(filter(None, [reload.changed()]))
        return bool(told)

    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "jobs.py").write_text("x")
    wait_until(look)
    assert told == ["jobs.py"]
