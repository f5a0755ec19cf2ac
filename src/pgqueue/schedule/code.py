"""The schedules that an app declares."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pgqueue.errors import ConfigError, PayloadError, shown
from pgqueue.job import NewJob, with_options
from pgqueue.schedule.settings import Spec, check_name, check_settings, read
from pgqueue.schedule.zone import zone_of
from pgqueue.task import Task
from pgqueue.unique.paths import check_paths

__all__ = ["Declarations", "Declared", "SlotArgs"]

SlotArgs = Mapping[str, Any] | Callable[[datetime], Mapping[str, Any] | None]
"""Arguments of the jobs of a schedule. A function is asked for each slot, with the slot on the
clock of the schedule's zone; None: that slot gets no job."""


@dataclass(frozen=True, slots=True)
class Declared:
    """``settings``: as they are stored. ``compute``: gives the arguments of each slot."""

    name: str
    settings: Mapping[str, Any]
    task: Task[..., Any]
    compute: Callable[[datetime], Mapping[str, Any] | None] | None

    def job(self, spec: Spec, slot: datetime | None) -> NewJob | None:
        """Return the job of a slot with the arguments that the function gives; None for no job.

        ``spec``: as the row says. ``slot``: None asks for the arguments of this moment.
        Raises what the function raises; PayloadError for arguments that do not fit the task.
        """
        assert self.compute is not None
        args = self.compute((slot or datetime.now(UTC)).astimezone(zone_of(spec.zone)))
        if args is None:
            return None
        options = with_options(self.task.options, spec.options_for(slot))
        return self.task.job_with(options, (), _mapping(args, self.name))


class Declarations:
    """The schedules of an app, by name."""

    def __init__(self) -> None:
        self._declared: dict[str, Declared] = {}

    def add(
        self, name: str, task: Task[..., Any], args: SlotArgs, given: Mapping[str, object]
    ) -> None:
        """Enter a schedule; raises ConfigError or PayloadError for what cannot be.

        Two of one name are refused, the same again is not.
        """
        check_name(name)
        compute = _function(args, name) if callable(args) else None
        stored: Mapping[str, Any] | None = None
        if compute is None:
            stored = json.loads(task.payload.encode((), _mapping(args, name)))
        settings = {**check_settings(given), "task": task.name, "args": stored}
        spec = read(name, settings)
        options = with_options(task.options, spec.options_for(None))
        check_paths(options, task.function, task.name)
        if compute is None:
            task.job_with(options, (), _mapping(args, name))
        former = self._declared.get(name)
        if former is not None and former.settings != settings:
            raise ConfigError(f'two schedules are named "{name}"; give one another name')
        self._declared[name] = Declared(name, settings, task, compute)

    def get(self, name: str) -> Declared | None:
        """Return the schedule of that name, if it is declared."""
        return self._declared.get(name)

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._declared.values())

    def __len__(self) -> int:
        return len(self._declared)

    @property
    def names(self) -> list[str]:
        """All names, in order."""
        return sorted(self._declared)


def _function(given: Any, name: str) -> Callable[[datetime], Mapping[str, Any] | None]:
    if inspect.iscoroutinefunction(given):
        raise ConfigError(
            f'schedule "{name}": args must be a function without async; it is called in a thread'
        )
    return cast("Callable[[datetime], Mapping[str, Any] | None]", given)


def _mapping(args: object, name: str) -> Mapping[str, Any]:
    if not isinstance(args, Mapping):
        raise PayloadError(
            f'schedule "{name}": args must be a mapping of parameter names, got {shown(args)}'
        )
    return cast("Mapping[str, Any]", args)
