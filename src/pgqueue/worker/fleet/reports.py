"""What the lifeline tells the worker, and asks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgqueue.worker.fleet.holdings import Receipts

__all__ = ["Reports"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Each is called on the worker's loop."""

    on_cancel: Callable[[Sequence[int]], None]
    on_fenced: Callable[[], None]
    on_registered: Callable[[], None]
    on_lease: Callable[[], None]
    on_ready_again: Callable[[dict[str, int]], None]
    on_next_due: Callable[[float], None]
    on_seat: Callable[..., None]
    on_silent: Callable[[], None]
    on_rest: Callable[[], None]
    successes: Callable[[], Receipts]
    on_failed: Callable[[BaseException], None]
