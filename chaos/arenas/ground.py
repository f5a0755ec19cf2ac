"""What a special arena stands on: its server, and how workers and producers reach it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from chaos.arena import Fault
from chaos.faults.cutting import CuttingProxy
from tests.harness.servers import Server, chosen, missing

__all__ = ["BASE", "Ground", "Maker", "newest"]

# The base arena's: a crash of the server loses nothing that was committed.
BASE = {
    "synchronous_commit": "on",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
    "max_connections": "300",
}


@dataclass
class Ground:
    """One arena's differences from the base arena.

    ``server``: its ``dsn_for(database)`` leads to whoever is the primary now, as superuser.
    ``faults``: those of this arena, to be struck besides those of the catalogue; ``without``: the
    names of those that make no sense here. ``settings`` are the workers', ``env`` is for them and
    for producers. ``forgetful``: the faults that may lose what was acknowledged shortly before, by
    the nature of this arena. ``pooled``: the server's sessions are a pooler's, not the workers'.
    """

    server: Server
    faults: Mapping[str, Callable[[], Fault]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    forgetful: frozenset[str] = frozenset()
    pooled: bool = False

    def behind(self, dsn: str) -> str:
        """Return what the proxy is to forward to, for a database's direct dsn."""
        return dsn

    def through(self, proxy: CuttingProxy) -> str:
        """Return the dsn for workers and producers."""
        return proxy.dsn

    async def prepare(self, dsn: str) -> None:
        """Do what this arena does to a migrated database."""


Maker = Callable[[], AbstractContextManager[Ground]]


def newest() -> int:
    """The newest of the chosen majors; the servers of others are not ours to break."""
    majors = [major for major in chosen() if major is not None]
    return max(majors) if majors else missing("a server of somebody else's is not ours to break")
