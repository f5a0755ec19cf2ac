"""Writes the flows that a worker's code declares, once every worker knows flows."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from pgqueue.db.retry_delay import RetryDelay
from pgqueue.db.store import Store
from pgqueue.errors import PgQueueError

__all__ = ["Declaring"]

log = logging.getLogger("pgqueue.worker")


class Declaring:
    """On the heartbeat thread's loop. ``every``: seconds from one try to the next."""

    def __init__(
        self, store: Store, flows: Mapping[str, Mapping[str, Any]], *, actor: str, every: float
    ) -> None:
        self._store = store
        self._flows = dict(sorted(flows.items()))
        self._actor = actor
        self._every = every
        self._retry = RetryDelay()
        self._said = False

    def begin(self) -> float:
        """Declare them at once; never where there are none."""
        return 0.0 if self._flows else math.inf

    async def step(self, *, called: bool) -> float:
        """Try once; return the seconds until the next try."""
        del called
        settings = [json.dumps(settings) for settings in self._flows.values()]
        try:
            async with self._store.turn:
                older, names = await self._store.declare_flows(
                    list(self._flows), settings, self._actor
                )
        except PgQueueError as exc:
            log.warning("the flows of this code are not declared yet: %s", exc)
            return self._retry.delay()
        for name in names:
            log.info('flow "%s" is as this code declares it from now on', name)
        if not older:
            return math.inf
        if not self._said:
            self._said = True
            log.warning(
                "the flows of this code are not declared while %d workers of an older version are "
                "registered; jobs of new flows run one at a time until then", older,
            )  # fmt: skip
        return self._every
