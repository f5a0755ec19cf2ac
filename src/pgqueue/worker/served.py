"""What a worker serves: the tasks of its app, and the queues."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pgqueue.batch import BatchTask
from pgqueue.config import WorkerSettings
from pgqueue.errors import ConfigError, nearest
from pgqueue.worker.running_jobs import MOST_SLOTS
from pgqueue.worker.twins import describe_twin

if TYPE_CHECKING:
    from pgqueue.app import App
    from pgqueue.task import Task

__all__ = ["fitted", "off_loop", "queues_of", "tasks_of", "warn_of_queues"]

log = logging.getLogger("pgqueue.worker")


def tasks_of(app: App) -> dict[str, Task[..., Any]]:
    """Return the app's tasks by name; ConfigError if there are none, or an annotation is wrong."""
    if (twin := describe_twin(app.home or app)) is not None:
        log.warning("%s", twin)
    tasks = dict(app.tasks.by_name())
    if not tasks:
        raise ConfigError("this app has no tasks; are the modules that define them imported?")
    for task in tasks.values():
        task.payload.prepare()  # a wrong annotation is an error now, not with the first job
    return tasks


def fitted(settings: WorkerSettings, tasks: Mapping[str, Task[..., Any]]) -> WorkerSettings:
    """Return the settings with the slots that these tasks can use.

    Where no job runs on the loop, there are no more slots than threads, or than child processes.
    Where each task takes batches, there are enough for two of the largest: one gathers while the
    other runs.
    """
    sizes = [task.batch for task in tasks.values() if isinstance(task, BatchTask)]
    if len(sizes) == len(tasks):
        slots = max(settings.concurrency, min(2 * max(sizes), MOST_SLOTS))
        return dataclasses.replace(settings, concurrency=slots)
    if any(task.runs_in == "loop" for task in tasks.values()):
        return settings
    slots = min(settings.concurrency, off_loop(settings, tasks))
    return dataclasses.replace(settings, concurrency=slots)


def off_loop(settings: WorkerSettings, tasks: Mapping[str, Task[..., Any]]) -> int:
    """Return how many jobs run at a time in threads and child processes.

    Where tasks of both kinds are, jobs for child processes count as those for threads.
    """
    places = {task.runs_in for task in tasks.values()}
    if "process" not in places or "thread" in places:
        return settings.threads
    return settings.children or os.cpu_count() or 1


def queues_of(tasks: Mapping[str, Task[..., Any]], given: Sequence[str]) -> Sequence[str]:
    """Return the queues that were given, or else those of the tasks."""
    return given or tuple(dict.fromkeys(task.queue for task in tasks.values()))


def warn_of_queues(queues: Sequence[str], tasks: Mapping[str, Task[..., Any]]) -> None:
    """Say which queues are the default of no task: their names may be wrong."""
    known = {task.queue for task in tasks.values()}
    for queue in queues:
        if queue not in known:
            parts = [part.strip() for part in queue.split(",")]
            split = f"; give each queue by itself: {', '.join(parts)}" if len(parts) > 1 else ""
            guess = split or nearest(queue, known)
            log.warning('queue "%s" is the default of no task of this app%s', queue, guess)
