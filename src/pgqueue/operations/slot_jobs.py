"""The part of a client that schedules need: arguments as they are stored, and the job of a slot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

from pgqueue.errors import ConfigError
from pgqueue.job import NewJob, Options
from pgqueue.operations.schedules import Schedules
from pgqueue.operations.verbs import Base
from pgqueue.schedule.settings import Spec

__all__ = ["ScheduleOperations"]


class ScheduleOperations(Base):
    """``schedules``, and what makes their jobs."""

    def job(
        self, task: str, args: Mapping[str, Any] | None = None, **options: Unpack[Options]
    ) -> NewJob:
        """Return a job as a value; the client says how."""
        raise NotImplementedError

    @property
    def schedules(self) -> Schedules:
        """The schedules of this schema: ``list``, ``set``, ``pause`` and other verbs."""
        return Schedules(self, self)

    def check_args(self, task: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the arguments of a schedule as they are stored.

        Raises PayloadError for those that cannot be, or do not fit the task where it is known.
        """
        stored: Mapping[str, Any] = json.loads(self.job(task, args).args)
        return stored

    def slot_job(self, spec: Spec, slot: datetime | None) -> NewJob | None:
        """Return the job of a slot of a schedule; None for a slot: a job that is of none."""
        if spec.args is None:
            raise ConfigError(
                f'the arguments of schedule "{spec.name}" come from code; use the app that '
                "declares it (on the command line, --app)"
            )
        return self.job(spec.task, spec.args, **spec.options_for(slot))
