"""The connections of the heartbeat thread: for heartbeats, for duties, and for upkeep of tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgqueue.config import WorkerSettings
from pgqueue.db.lent import Borrower, Lender
from pgqueue.db.link import Link, Watch
from pgqueue.db.source import Source
from pgqueue.worker.fleet.view import WorkerView
from pgqueue.worker.timings import WatchTimings

__all__ = ["Links"]


class Links:
    """Used on the heartbeat thread's loop alone.

    ``watch``: watches all. They are read on that loop, so their deadlines hold while the worker's
    is blocked. ``on_lost``: the session of the heartbeat is gone.
    """

    def __init__(
        self,
        source: str | Source,
        *,
        settings: WorkerSettings,
        pooled_by_session: bool,
        view: WorkerView,
        on_lost: Callable[[], None],
        timings: WatchTimings,
    ) -> None:
        self.watch = Watch()
        self._listen = settings.listen
        how: dict[str, Any] = {"watch": self.watch, "deadline": settings.deadline}
        how |= {"pooled": not settings.listen, "pooled_by_session": pooled_by_session}
        # Other workers treat a missing session as death: so it connects again at once.
        self.heartbeat = Lender(source, role="heartbeat", on_lost=on_lost, **how)
        self.duties = Borrower(
            source, role="duties", lender=self.heartbeat, busy=lambda: view.running,
            rests_after=timings.duties_rest_after, **how,
        )  # fmt: skip
        # A vacuum takes its time, and the other duties do not wait for it.
        self.upkeep = Link(source, role="upkeep", rests_after=timings.duties_rest_after, **how)

    def connects(self) -> tuple[int, ...] | None:
        """Return what changes when the server may be another one, with old positions to come.

        None behind a pooler, which does not tell.
        """
        if not self._listen:
            return None
        links = self.heartbeat, self.duties
        return tuple(link.connects if link.connected else -1 for link in links)

    async def close(self) -> None:
        """Close all."""
        await self.upkeep.close()
        await self.duties.close()
        await self.heartbeat.close()
