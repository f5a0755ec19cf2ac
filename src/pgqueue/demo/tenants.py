"""Two tenants: one has all of its files in line, another comes meanwhile with a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pgqueue.demo.names import AT_ONCE
from pgqueue.demo.statements import sql

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Tenant", "check_tenants", "split"]

_SHARE = 50


@dataclass(frozen=True, slots=True)
class Tenant:
    """One row of check_tenants.sql, which says what each means; waits are in seconds."""

    tenant: str
    files: int
    most_at_once: int
    above: int
    median_wait: float
    worst_wait: float


def split(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files of the large tenant, and of the small one: the last of every fifty.

    Of fewer than fifty files, the last is the small tenant's; of one or two, none.
    """
    if len(paths) < _SHARE:
        cut = len(paths) - (len(paths) > 2)
        return list(paths[:cut]), list(paths[cut:])
    small = list(paths[_SHARE - 1 :: _SHARE])
    return [path for n, path in enumerate(paths, 1) if n % _SHARE], small


async def check_tenants(connection: Connection) -> dict[str, Tenant]:
    """Ask the database how each tenant fared; by name."""
    rows = await connection.fetch(sql("check_tenants"), AT_ONCE)
    return {
        row["tenant"]: Tenant(**{field.name: row[field.name] for field in fields(Tenant)})
        for row in rows
    }
