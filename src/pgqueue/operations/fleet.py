"""Verbs on the whole: schema, queues, workers, status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from pgqueue import admin
from pgqueue.admin.info import QueueInfo, SchemaStatus, Status, WorkerInfo
from pgqueue.config import check_queue
from pgqueue.operations.audited import ChangeOptions, actor_of
from pgqueue.operations.queue_limits import QueueLimits
from pgqueue.operations.verbs import Base, Work, awaitable, blocking, here

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["FleetOperations"]

_MIGRATION_SECONDS = 3600.0


class FleetOperations(Base):
    """Install the schema; look at queues and workers; pause and resume."""

    @property
    def queue_limits(self) -> QueueLimits:
        """The limits of queues: ``list``, ``set``, ``off`` and ``reset``."""
        return QueueLimits(self)

    @blocking
    def migrate(self, *, connection: object | None = None) -> Work[list[str]]:
        """Install or upgrade the schema, and repair what a restore has left out of it.

        Returns the names of the migrations applied now.
        """

        async def apply(connection: Connection) -> list[str]:
            applied = await admin.apply_migrations(connection, self.schema)
            here(self).pool.recheck()
            return applied

        return Work(apply, checked=False, seconds=_MIGRATION_SECONDS, connection=connection)

    @blocking
    def adopt(self, *, connection: object | None = None) -> Work[bool]:
        """Make this database the one that the schema was made for; True if it was another.

        On a copy of a database no worker starts before that: it would run the original's jobs.
        """
        return Work(lambda c: admin.adopt(c, self.schema), connection=connection)

    @blocking
    def schema_status(self, *, connection: object | None = None) -> Work[SchemaStatus]:
        """Say what is installed, and whether this version can work with it."""
        return Work(
            lambda c: admin.schema_status(c, self.schema), checked=False, connection=connection
        )

    @blocking
    def queues(self, *, connection: object | None = None) -> Work[list[QueueInfo]]:
        """Return every queue that holds live jobs, was served, or was paused."""
        return Work(lambda c: admin.queues(c, self.schema), connection=connection)

    @blocking
    def pause(
        self, queue: str, *, connection: object | None = None, **by: Unpack[ChangeOptions]
    ) -> Work[bool]:
        """Stop claims from a queue, for all workers; True if it was not paused.

        Jobs that were claimed before are finished. Each change is a row of the table ``audit``,
        with ``actor`` (user@host unless given) and ``reason``.
        """
        name, who = check_queue(queue), actor_of(**by)
        return Work(lambda c: admin.pause(c, self.schema, name, who), connection=connection)

    @blocking
    def resume(
        self, queue: str, *, connection: object | None = None, **by: Unpack[ChangeOptions]
    ) -> Work[bool]:
        """Let workers claim from a queue again; True if it was paused. Noted as by ``pause``."""
        name, who = check_queue(queue), actor_of(**by)
        return Work(lambda c: admin.resume(c, self.schema, name, who), connection=connection)

    @blocking
    def workers(self, *, connection: object | None = None) -> Work[list[WorkerInfo]]:
        """Return every registered worker, longest running first."""
        return Work(lambda c: admin.workers(c, self.schema), connection=connection)

    @blocking
    def status(self, *, connection: object | None = None) -> Work[Status]:
        """Return one snapshot of jobs, queues and workers."""
        return Work(lambda c: admin.status(c, self.schema), connection=connection)

    amigrate = awaitable(migrate, "Install or upgrade the schema; see ``migrate``.")
    aadopt = awaitable(
        adopt, "Make this database the one that the schema was made for; see ``adopt``."
    )
    aschema_status = awaitable(schema_status)
    aqueues = awaitable(queues)
    apause = awaitable(pause, "Stop claims from a queue; see ``pause``.")
    aresume = awaitable(resume)
    aworkers = awaitable(workers)
    astatus = awaitable(status)
