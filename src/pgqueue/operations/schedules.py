"""Verbs on schedules: ``client.schedules.set(...)``, ``await client.schedules.aset(...)``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, Unpack

from pgqueue import admin
from pgqueue.admin.schedule_info import ScheduleFire, ScheduleInfo, ScheduleSlot
from pgqueue.config import check_int
from pgqueue.errors import ConfigError
from pgqueue.job import Enqueued, NewJob
from pgqueue.operations.audited import Audited
from pgqueue.operations.verbs import Base, Work, awaitable, blocking
from pgqueue.schedule.settings import ScheduleOptions, Spec, check_name, check_settings

__all__ = ["Schedules", "SlotJobs"]

_MOST_SLOTS = 1_000
_ANY_TASK = "task"


class SlotJobs(Protocol):
    """A client, as schedules need it."""

    def check_args(self, task: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return arguments as they are stored; raises PayloadError if they do not fit the task."""
        ...

    def slot_job(self, spec: Spec, slot: datetime | None) -> NewJob | None:
        """Return the job of a slot; None if code wants none."""
        ...


class Schedules(Audited):
    """The schedules of a schema. Each change is a row of the table ``audit``.

    That row says who changed something, which is user@host unless ``by`` says otherwise. With
    ``connection``, a verb works in the caller's transaction.
    """

    def __init__(self, client: Base, jobs: SlotJobs) -> None:
        super().__init__(client)
        self._jobs = jobs

    @blocking
    def preview(
        self, name: str, count: int = 5, *, connection: object | None = None
    ) -> Work[list[ScheduleSlot]]:
        """Return the next slots of a schedule."""
        most = check_int(count, "count", 1, _MOST_SLOTS)
        check_name(name)
        return Work(
            lambda c: admin.preview_schedule(c, self.schema, name, most), connection=connection
        )

    @blocking
    def history(self, name: str, *, connection: object | None = None) -> Work[list[ScheduleFire]]:
        """Return the last slots of a schedule, up to twenty, the newest first."""
        check_name(name)
        return Work(lambda c: admin.schedule_fires(c, self.schema, name), connection=connection)

    @blocking
    def set(
        self,
        name: str,
        *,
        task: str | None = None,
        args: Mapping[str, Any] | None = None,
        connection: object | None = None,
        **settings: Unpack[ScheduleOptions],
    ) -> Work[bool]:
        """Make a schedule, or change one; True if it is new.

        What is not given stays as it is. A change of a schedule that code declares wins over the
        code, also after deploys, until ``reset``. Raises ConfigError for what makes no schedule,
        PayloadError for arguments that do not fit the task, where the task is known.
        """
        check_name(name)
        changes = check_settings(settings if task is None else {**settings, "task": task})
        if args is not None:
            changes["args"] = self._jobs.check_args(task or _ANY_TASK, args)
        if not changes:
            raise ConfigError(f'nothing is given to set of schedule "{name}"')
        return Work(
            lambda c: admin.set_schedule(c, self.schema, name, changes, self._actor),
            connection=connection,
        )

    @blocking
    def reset(self, name: str, *, connection: object | None = None) -> Work[bool]:
        """Let code say again how a schedule is; True if an operator had changed it."""
        check_name(name)
        return Work(
            lambda c: admin.reset_schedule(c, self.schema, name, self._actor), connection=connection
        )

    @blocking
    def pause(self, name: str, *, connection: object | None = None) -> Work[bool]:
        """Stop a schedule, also over deploys; True if it was not paused."""
        check_name(name)
        return Work(
            lambda c: admin.pause_schedule(c, self.schema, name, self._actor), connection=connection
        )

    @blocking
    def resume(self, name: str, *, connection: object | None = None) -> Work[bool]:
        """Let a schedule fire again; True if it was paused. Slots of the pause are never due."""
        check_name(name)
        return Work(
            lambda c: admin.resume_schedule(c, self.schema, name, self._actor),
            connection=connection,
        )

    @blocking
    def run(self, name: str, *, connection: object | None = None) -> Work[Enqueued | None]:
        """Enqueue a job of a schedule now; its slots stay as they are.

        None where the function in the code that gives its arguments wants no job.
        """
        check_name(name)

        def make(spec: Spec) -> NewJob | None:
            return self._jobs.slot_job(spec, None)

        return Work(
            lambda c: admin.run_schedule(c, self.schema, name, make, self._actor),
            connection=connection,
        )

    @blocking
    def remove(self, name: str, *, connection: object | None = None) -> Work[None]:
        """Delete a schedule. Raises ConfigError for one that the code of a worker declares."""
        check_name(name)
        return Work(
            lambda c: admin.remove_schedule(c, self.schema, name, self._actor),
            connection=connection,
        )

    # The last of them: behind it, list is this verb in annotations.
    @blocking
    def list(self, *, connection: object | None = None) -> Work[list[ScheduleInfo]]:
        """Return every schedule, by name."""
        return Work(lambda c: admin.list_schedules(c, self.schema), connection=connection)

    alist = awaitable(list)  # noqa: A003
    apreview = awaitable(preview)
    ahistory = awaitable(history)
    aset = awaitable(set, "Make a schedule, or change one; see ``set``.")  # noqa: A003
    areset = awaitable(reset)
    apause = awaitable(pause)
    aresume = awaitable(resume)
    arun = awaitable(run, "Enqueue a job of a schedule now; see ``run``.")
    aremove = awaitable(remove)
