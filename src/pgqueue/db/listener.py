"""What a session listens to, which may change while it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Listener"]


class Listener:
    """Listens on channels that begin with the name which ``channel_sql`` answers.

    ``wanted``: the suffixes of those channels. ``on_notify`` is told the payload.
    """

    def __init__(self, channel_sql: str, on_notify: Callable[[str], None]) -> None:
        self.wanted: frozenset[str] = frozenset()
        self._channel_sql = channel_sql
        self._on_notify = on_notify
        self._connection: Connection | None = None
        self._channel = ""
        self._heard: frozenset[str] = frozenset()

    async def tune(self, connection: Connection) -> None:
        """Listen on this connection to what is wanted, and to nothing else."""
        if connection is not self._connection:
            self._connection, self._heard = connection, frozenset()
            self._channel = await connection.fetchval(self._channel_sql)
        for suffix in self._heard - self.wanted:
            self._heard -= {suffix}
            await connection.remove_listener(self._channel + suffix, self._hear)
        for suffix in self.wanted - self._heard:
            await connection.add_listener(self._channel + suffix, self._hear)
            self._heard |= {suffix}

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._on_notify(str(payload))
