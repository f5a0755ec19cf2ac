"""Verbs on limits of queues: ``client.queue_limits.set("mail", concurrency=5)``."""

from __future__ import annotations

from typing import Unpack

from pgqueue import admin
from pgqueue.admin.limit_info import QueueLimitInfo
from pgqueue.config import check_queue
from pgqueue.errors import ConfigError
from pgqueue.flow.queue_limits import KEYS, QueueLimitOptions, check_limits
from pgqueue.operations.audited import Audited
from pgqueue.operations.verbs import Work, awaitable, blocking

__all__ = ["QueueLimits"]


class QueueLimits(Audited):
    """The limits of queues. Each change is a row of the table ``audit``.

    That row says who changed something, which is user@host unless ``by`` says otherwise. With
    ``connection``, a verb works in the caller's transaction. Workers follow within a second.
    """

    @blocking
    def list(self, *, connection: object | None = None) -> Work[list[QueueLimitInfo]]:
        """Return the queues of which code or an operator says anything, by name."""
        return Work(lambda c: admin.list_limits(c, self.schema), connection=connection)

    @blocking
    def set(
        self,
        queue: str,
        *,
        connection: object | None = None,
        **limits: Unpack[QueueLimitOptions],
    ) -> Work[None]:
        """Limit a queue. What is not given stays as it is; None: without that limit.

        It wins over what code declares, also after deploys, until ``reset``. Raises ConfigError
        for a value that cannot be.
        """
        name, changes = check_queue(queue), check_limits(limits)
        if not changes:
            raise ConfigError(f'nothing is given to set of queue "{name}"')
        return Work(
            lambda c: admin.limit_queue(c, self.schema, name, changes, self._actor),
            connection=connection,
        )

    @blocking
    def off(self, queue: str, *, connection: object | None = None) -> Work[None]:
        """Lift all limits of a queue, also those that code declares, until ``reset``."""
        name = check_queue(queue)
        return Work(
            lambda c: admin.limit_queue(c, self.schema, name, dict.fromkeys(KEYS), self._actor),
            connection=connection,
        )

    @blocking
    def reset(self, queue: str, *, connection: object | None = None) -> Work[bool]:
        """Let code say again which limits a queue has; True if an operator had changed them."""
        name = check_queue(queue)
        return Work(
            lambda c: admin.reset_queue(c, self.schema, name, self._actor), connection=connection
        )

    alist = awaitable(list)  # noqa: A003
    aset = awaitable(set, "Limit a queue; see ``set``.")  # noqa: A003
    aoff = awaitable(off)
    areset = awaitable(reset)
