"""What a worker runs, as its supervisor reads it."""

from __future__ import annotations

import os

import pytest

from pgqueue import App, WorkerSettings
from pgqueue.worker.running_jobs import RunningJobs
from pgqueue.worker.served import fitted, tasks_of


@pytest.mark.parametrize("anonymous", [True, False])
def test_what_one_side_notes_the_other_reads(
    anonymous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not anonymous:  # as on systems without it
        monkeypatch.delattr(os, "memfd_create")
    ours, file = RunningJobs.shared(3)
    with file:
        theirs = RunningJobs.adopt(os.dup(file.fileno()))
    assert ours.read() == []
    for slot, job_id, token in ((0, 7, 70), (2, 2**63 - 1, 2**63 - 2)):
        theirs.tokens[slot] = token
        theirs.ids[slot] = job_id
    assert ours.read() == [(7, 70), (2**63 - 1, 2**63 - 2)]
    theirs.tokens[0] = 80
    theirs.ids[0] = 8
    del theirs
    assert ours.read() == [(8, 80), (2**63 - 1, 2**63 - 2)]


def test_adopting_takes_the_descriptor() -> None:
    _, file = RunningJobs.shared(1)
    with file:
        descriptor = os.dup(file.fileno())
    RunningJobs.adopt(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_there_is_room_for_all_slots_that_a_worker_may_have() -> None:
    app = App("postgresql://127.0.0.1:1/nobody")

    @app.task(batch=10_000)
    async def many(items: list[int]) -> None: ...

    slots = fitted(WorkerSettings(concurrency=10_000), tasks_of(app)).concurrency
    ours, file = RunningJobs.shared()
    file.close()
    assert len(ours.ids) >= slots
