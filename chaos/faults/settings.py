"""What an operator may set in the server's configuration, for a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chaos.faults.fault import BaseFault, direct, healed, sessions

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["ReadOnly", "RoleDefaults"]

_RELOAD = "select pg_reload_conf()"


class ReadOnly(BaseFault):
    """Transactions are read-only by default, in the sessions that are there and in new ones."""

    name = "read-only"
    label = "F20"
    disruptive = 8.0

    def __init__(self, least: float = 1.0, most: float = 5.0) -> None:
        self._span = (least, most)

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(*self._span)
        arena.log("read only", seconds=round(seconds, 2))
        try:
            async with direct(arena) as own:
                await own.execute("alter system set default_transaction_read_only = on")
                await own.execute(_RELOAD)
            await asyncio.sleep(seconds)
        finally:
            await healed(arena, "alter system reset default_transaction_read_only", _RELOAD)


class RoleDefaults(BaseFault):
    """The role gets other defaults, and all sessions begin anew, with them; and back again."""

    def __init__(self, name: str, label: str, settings: dict[str, str]) -> None:
        self.name = name
        self.label = label
        self.disruptive = 6.0
        self._settings = settings

    async def strike(self, arena: Arena) -> None:
        seconds = arena.rng.uniform(2.0, 5.0)
        arena.log("defaults", settings=self._settings, seconds=round(seconds, 2))
        async with direct(arena) as own:
            role = await own.fetchval("select quote_ident(current_user)")
        reset = [f"alter role {role} reset {name}" for name in self._settings]
        try:
            async with direct(arena) as own:
                for name, value in self._settings.items():
                    await own.execute(f"alter role {role} set {name} = {value}")
                await self._begin_anew(arena)
            await asyncio.sleep(seconds)
        finally:
            await healed(arena, *reset)
            await self._begin_anew(arena)

    @staticmethod
    async def _begin_anew(arena: Arena) -> None:
        """End all sessions: defaults are for those that begin."""
        async with direct(arena) as own:
            for row in await sessions(own):
                await own.execute("select pg_terminate_backend($1)", row["pid"])
