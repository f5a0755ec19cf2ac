"""Which jobs an operation is about: checked before anything is asked of the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from pgqueue.config import check_int, check_queue, check_seconds, check_task_name, check_text
from pgqueue.errors import ConfigError, nearest
from pgqueue.flow.names import check_flow, check_key
from pgqueue.job import JobState

__all__ = ["LARGEST_ID", "DeadFilter", "JobFilter", "check_ids", "check_page", "check_reason"]

LARGEST_ID = 2**63 - 1
_STATES = tuple(state.value for state in JobState)


def check_ids(ids: int | Iterable[int]) -> list[int]:
    """Return job ids, each once, in ascending order: the order in which rows are locked."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, (int, Iterable)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"a job id must be a whole number, got {ids!r}")
    many = [ids] if isinstance(ids, int) else ids
    return sorted({check_int(one, "job id", -LARGEST_ID, LARGEST_ID) for one in many})


def check_page(limit: object, before_id: object | None) -> tuple[int, int]:
    """Return a page's size and the id that it ends below."""
    size = check_int(limit, "limit", 1, 1000)
    return size, LARGEST_ID if before_id is None else check_int(
        before_id, "before_id", -LARGEST_ID, LARGEST_ID
    )


def check_reason(reason: object | None) -> str | None:
    """Return a part of a dead letter's reason; None: any."""
    return None if reason is None else check_text(reason, "reason", longest=1000)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Jobs of a state, a queue, a task, with a tag, of a flow and its key; None: any."""

    state: str | None = None
    queue: str | None = None
    task: str | None = None
    tag: str | None = None
    flow: str | None = None
    flow_key: str | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state not in _STATES:
            raise ConfigError(
                f"state must be one of {', '.join(_STATES)}; got {self.state!r}"
                f"{nearest(str(self.state), _STATES)}"
            )
        if self.queue is not None:
            check_queue(self.queue)
        if self.task is not None:
            check_task_name(self.task)
        if self.tag is not None:
            check_text(self.tag, "tag", longest=200)
        if self.flow is not None:
            check_flow(self.flow)
        if self.flow_key is not None and self.flow_key != "":  # of a flow without keys
            check_key(self.flow_key)


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Dead letters by id, queue, task, a part of the reason, time since they died; None: any."""

    ids: list[int] | None = None
    queue: str | None = None
    task: str | None = None
    reason: str | None = None
    older_than: float | None = None

    @classmethod
    def of(
        cls,
        ids: int | Iterable[int] | None = None,
        *,
        queue: str | None = None,
        task: str | None = None,
        reason: str | None = None,
        older_than: float | timedelta | None = None,
    ) -> DeadFilter:
        """Check the values; one at least must be given, so that "all" is never an accident."""
        found = cls(
            None if ids is None else check_ids(ids),
            None if queue is None else check_queue(queue),
            None if task is None else check_task_name(task),
            check_reason(reason),
            None if older_than is None else check_seconds(older_than, "older_than"),
        )
        if found == cls():
            raise ConfigError(
                "say which dead letters: ids, queue, task, reason or older_than (0: all of them)"
            )
        return found
