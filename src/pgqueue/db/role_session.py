"""The session of one role of a worker: how it is opened, and with what its transactions begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgqueue.db.connect import Pooler, open_connection, pooler_of
from pgqueue.db.exchange import begin_with
from pgqueue.db.session import LIVENESS, session_settings
from pgqueue.db.source import Source

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["RoleSession"]


@dataclass(frozen=True, slots=True)
class RoleSession:
    """Says how a session is opened; each one that a link opens is the same.

    ``local``: the settings that each transaction sets for itself; none where the session keeps
    them. ``begin``: begins a transaction with those; None where a single statement needs none.
    """

    source: str | Source
    name: str
    deadline: float
    pooler: Pooler
    settings: Mapping[str, str]
    local: Mapping[str, str]
    begin: str | None

    @classmethod
    def of(
        cls,
        role: str,
        source: str | Source,
        *,
        deadline: float,
        pooled: bool,
        pooled_by_session: bool,
    ) -> RoleSession:
        settings = session_settings(role, deadline)
        # Behind a pooler a session is ours only within a transaction: so are its settings. Its name
        # is set anew whenever somebody with another name had it.
        return cls(
            source=source,
            name="pgqueue worker" if pooled else f"pgqueue {role}",
            deadline=deadline,
            pooler=pooler_of(pooled=pooled, by_session=pooled_by_session),
            settings=settings,
            local=settings if pooled else {},
            begin=begin_with(settings) if pooled else None,
        )

    @property
    def dsn(self) -> str:
        """The dsn that was last connected to."""
        return self.source if isinstance(self.source, str) else self.source.dsn

    async def open(self) -> Connection:
        """Connect. Raises errors of ours alone."""
        return await open_connection(
            self.source,
            name=self.name,
            seconds=self.deadline,
            settings={**self.settings, **LIVENESS},
            pooler=self.pooler,
            statement_lifetime=0,
        )
