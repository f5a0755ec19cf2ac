"""How a worker enters the list of workers, and by which session the others see it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from typing import Any

from pgqueue.db.store import Store
from pgqueue.errors import OutcomeUnknown, PgQueueError
from pgqueue.version import __version__
from pgqueue.worker.fleet.identity import Identity

__all__ = ["Registration"]


class Registration:
    """Used on the heartbeat thread alone.

    ``session``: pid and start of the heartbeat's session; a pooler does not tell them.
    """

    def __init__(self, store: Store, who: Identity) -> None:
        self._store = store
        self._who = who
        self.kind = who.kind
        self.session: tuple[int | None, Any] = (None, None)
        self._connects = 0

    async def enter(self) -> tuple[int, float, str | None]:
        """Enter under a new random id; return it, when that began, and the limits of its queues."""
        who, settings = self._who, self._who.settings
        if settings.listen:
            await self._learn_session()
        worker_id = secrets.randbits(63)
        began = time.monotonic()
        try:
            limits = await self._store.register(
                worker_id, settings.lease, os.getpid(), socket.gethostname(), __version__,
                who.queues, settings.concurrency, who.supervisor, *self.session, self.kind,
                who.tasks, who.schedules,
            )  # fmt: skip
        except OutcomeUnknown:
            # It may stand there, and nobody is behind it; if this fails, its lease runs out.
            with contextlib.suppress(PgQueueError):
                await self._store.remove_worker(worker_id)
            raise
        return worker_id, began, limits

    async def refresh(self) -> bool:
        """Learn the session anew if it is another one; return whether it is."""
        link = self._store.link
        same = self._connects == link.connects and link.connected
        if same or not self._who.settings.listen:
            return False
        await self._learn_session()
        return True

    async def _learn_session(self) -> None:
        self.session = await self._store.own_session()
        self._connects = self._store.link.connects
