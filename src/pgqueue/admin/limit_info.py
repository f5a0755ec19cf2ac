"""What the limits of queues look like: plain values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

__all__ = ["QueueLimitInfo"]


class QueueLimitInfo(msgspec.Struct, frozen=True):
    """The limits of one ``queue``, for the whole fleet.

    ``concurrency``: how many of its jobs run at once. ``rate``: how many begin a second, with
    ``burst`` at the same moment. ``max_depth``: how many may wait for a worker; ``full_at``: since
    when so many do. ``held``: permits that workers hold, each for one job at once.
    None: there is no such limit. ``declared``: what code says;
    ``changed``: what an operator said over it, at ``changed_at`` by ``changed_by``; None: nothing.
    """

    queue: str
    concurrency: int | None
    rate: float | None
    burst: int | None
    held: int
    max_depth: int | None
    full_at: datetime | None
    declared: Mapping[str, Any] | None
    changed: Mapping[str, Any] | None
    changed_at: datetime | None
    changed_by: str | None
