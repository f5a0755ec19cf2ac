"""Verbs on the whole: schema, queues, workers, status."""

from __future__ import annotations

from pgqueue import admin
from pgqueue.admin.info import QueueInfo, SchemaStatus, Status, WorkerInfo
from pgqueue.config import check_queue
from pgqueue.operations.base import Base

__all__ = ["FleetOperations"]

_MIGRATION_SECONDS = 3600.0


class FleetOperations(Base):
    """Install the schema; look at queues and workers; pause and resume."""

    def migrate(self) -> list[str]:
        """Install or upgrade the schema, and repair what a restore has left out of it.

        Returns the names of the migrations applied now.
        """
        applied = self.pool.run(
            lambda c: admin.apply_migrations(c, self.schema),
            what="migrate",
            checked=False,
            seconds=_MIGRATION_SECONDS,
        )
        self.pool.recheck()
        return applied

    async def amigrate(self) -> list[str]:
        """Install or upgrade the schema; see ``migrate``."""
        applied = await self.pool.arun(
            lambda c: admin.apply_migrations(c, self.schema),
            checked=False,
            seconds=_MIGRATION_SECONDS,
        )
        self.pool.recheck()
        return applied

    def adopt(self) -> bool:
        """Make this database the one that the schema was made for; True if it was another.

        On a copy of a database no worker starts before that: it would run the original's jobs.
        """
        return self.pool.run(lambda c: admin.adopt(c, self.schema), what="adopt")

    async def aadopt(self) -> bool:
        """Make this database the one that the schema was made for; see ``adopt``."""
        return await self.pool.arun(lambda c: admin.adopt(c, self.schema))

    def schema_status(self) -> SchemaStatus:
        """Say what is installed, and whether this version can work with it."""
        return self.pool.run(
            lambda c: admin.schema_status(c, self.schema), what="schema_status", checked=False
        )

    async def aschema_status(self) -> SchemaStatus:
        """Say what is installed, and whether this version can work with it."""
        return await self.pool.arun(lambda c: admin.schema_status(c, self.schema), checked=False)

    def queues(self) -> list[QueueInfo]:
        """Return every queue that holds live jobs, was served, or was paused."""
        return self.pool.run(lambda c: admin.queues(c, self.schema), what="queues")

    async def aqueues(self) -> list[QueueInfo]:
        """Return every queue that holds live jobs, was served, or was paused."""
        return await self.pool.arun(lambda c: admin.queues(c, self.schema))

    def pause(self, queue: str) -> bool:
        """Stop claims from a queue, for all workers; True if it was not paused.

        Jobs that were claimed before are finished.
        """
        name = check_queue(queue)
        return self.pool.run(lambda c: admin.pause(c, self.schema, name), what="pause")

    async def apause(self, queue: str) -> bool:
        """Stop claims from a queue; see ``pause``."""
        name = check_queue(queue)
        return await self.pool.arun(lambda c: admin.pause(c, self.schema, name))

    def resume(self, queue: str) -> bool:
        """Let workers claim from a queue again; True if it was paused."""
        name = check_queue(queue)
        return self.pool.run(lambda c: admin.resume(c, self.schema, name), what="resume")

    async def aresume(self, queue: str) -> bool:
        """Let workers claim from a queue again; True if it was paused."""
        name = check_queue(queue)
        return await self.pool.arun(lambda c: admin.resume(c, self.schema, name))

    def workers(self) -> list[WorkerInfo]:
        """Return every registered worker, longest running first."""
        return self.pool.run(lambda c: admin.workers(c, self.schema), what="workers")

    async def aworkers(self) -> list[WorkerInfo]:
        """Return every registered worker, longest running first."""
        return await self.pool.arun(lambda c: admin.workers(c, self.schema))

    def status(self) -> Status:
        """Return one snapshot of jobs, queues and workers."""
        return self.pool.run(lambda c: admin.status(c, self.schema), what="status")

    async def astatus(self) -> Status:
        """Return one snapshot of jobs, queues and workers."""
        return await self.pool.arun(lambda c: admin.status(c, self.schema))
