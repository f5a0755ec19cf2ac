"""Which worker this is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgqueue.config import WorkerSettings
from pgqueue.worker.seat import kind_of

__all__ = ["Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """``supervisor``: the number of the one that started this process, if one did.

    ``schedules``, ``flows``: those that its code declares.
    """

    settings: WorkerSettings
    queues: Sequence[str]
    tasks: Sequence[str]
    supervisor: int | None
    schedules: Sequence[str] = ()
    flows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    @property
    def kind(self) -> int:
        """What this worker has in common with those that can stand in for it."""
        return kind_of(self.queues, self.tasks, listen=self.settings.listen)
