"""Why a job of a flow is not admitted: its place in line, and what the line waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pgqueue.admin.info import COUNT_BOUND
from pgqueue.db.statements import statement

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["BEFORE_BOUND", "Line", "line_reasons", "read_line"]

BEFORE_BOUND = 1_000
"""No more jobs than this are counted before the one that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one look has seen of a job in line; see ``explain_line.sql``.

    ``known``: somebody has said what the limits of the flow are. ``held`` and ``tat``: seconds;
    they count where they are above 0.
    """

    flow: str
    key: str
    weight: int = 1
    before: int = 0
    admitted: int = 0
    of_key: int = 0
    known: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    paused_at: datetime | None = None
    held: float | None = None
    tat: float | None = None
    own_concurrency: int | None = None
    key_paused_at: datetime | None = None
    reason: str | None = None
    key_held: float | None = None
    key_tat: float | None = None
    first_id: int | None = None
    first_due_in: float | None = None

    @property
    def name(self) -> str:
        """The line, for people."""
        return f"{self.flow} / {self.key}" if self.key else self.flow

    @property
    def most(self) -> int | None:
        """How many jobs of the flow may be admitted; None: there is no limit."""
        return self.settings.get("concurrency") if self.known else 1

    @property
    def most_of_key(self) -> int | None:
        """How many jobs of the key may be admitted; None: there is no limit."""
        if self.settings.get("ordered"):
            return 1
        own = self.own_concurrency
        return self.settings.get("key_concurrency") if own is None else own


def line_reasons(line: Line) -> list[str]:
    """Return what keeps the job in line, a sentence each, its place first."""
    return [_place(line), *_limits(line), *_stops(line), *_rates(line)]


def _place(line: Line) -> str:
    if line.before >= BEFORE_BOUND:
        place = f"in line of {line.name}: behind place {BEFORE_BOUND}"
    else:
        place = f"in line of {line.name}: place {line.before + 1}"
    if (most := line.most_of_key) is not None:
        return f"{place}, {line.of_key} of {most} running"
    if (most := line.most) is not None:
        return f"{place}, {line.admitted} of {most} running"
    return place


def _limits(line: Line) -> list[str]:
    found: list[str] = []
    most = line.most
    if line.most_of_key is not None and most is not None and line.admitted >= most:
        found.append(f"flow {line.flow}: {line.admitted} of {most} running")
    if not line.known:
        found.append(f'no code declares flow "{line.flow}": it runs one job at a time')
    if line.first_id is not None and line.settings.get("ordered"):
        due = max(0.0, line.first_due_in or 0.0)
        found.append(f"job {line.first_id} goes first: its next attempt is due in {due:.0f} s")
    return found


def _stops(line: Line) -> list[str]:
    found: list[str] = []
    if line.paused_at is not None:
        found.append(f'flow "{line.flow}" was paused at {line.paused_at.isoformat(" ", "seconds")}')
    if line.held is not None and line.held > 0:
        found.append(
            f'flow "{line.flow}" is held for {line.held:.0f} s more, as one of its jobs asked'
        )
    if line.key_paused_at is not None:
        since = line.key_paused_at.isoformat(" ", "seconds")
        why = f": {line.reason}" if line.reason else ""
        found.append(f'key "{line.key}" of flow "{line.flow}" was paused at {since}{why}')
    if line.key_held is not None and line.key_held > 0:
        found.append(
            f'key "{line.key}" of flow "{line.flow}" is held for {line.key_held:.0f} s more, '
            "as one of its jobs asked"
        )
    return found


def _rates(line: Line) -> list[str]:
    found: list[str] = []
    for prefix, name, tat in (("", line.flow, line.tat), ("key_", line.name, line.key_tat)):
        wait = _seconds_to_token(
            line.settings.get(f"{prefix}rate"), line.settings.get(f"{prefix}burst") or 1,
            line.weight, tat,
        )  # fmt: skip
        if wait > 0:
            what = "next token" if line.weight == 1 else f"{line.weight} tokens"
            found.append(f"rate of {name}: {what} in {_span(wait)}")
    return found


def _seconds_to_token(
    rate: float | None, burst: float, weight: int, full_in: float | None
) -> float:
    """Return in how many seconds a job of this weight may take its tokens; 0: now."""
    if rate is None or full_in is None:
        return 0.0
    tokens = burst - max(0.0, full_in) * rate
    return max(0.0, (min(weight, burst) - tokens) / rate)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


async def read_line(connection: Connection, schema: str, job_id: int) -> Line | None:
    """Return what keeps a job in line; None for one that is in none."""
    row = await connection.fetchrow(
        statement("explain_line", schema), job_id, BEFORE_BOUND, COUNT_BOUND
    )
    if row is None:
        return None
    values: dict[str, Any] = dict(row.items())
    settings: str | None = values.pop("settings")
    return Line(**values, known=settings is not None, settings=json.loads(settings or "{}"))
