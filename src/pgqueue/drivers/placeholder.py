"""Spells the canonical ``$1``, ``$2``... as other drivers want them."""

from __future__ import annotations

import functools

__all__ = ["colon_style", "percent_style"]


@functools.lru_cache(maxsize=64)
def percent_style(sql: str, count: int) -> str:
    """Return ``sql`` with ``%s`` for its ``count`` parameters, every other percent sign doubled."""
    return "%s".join(_between(sql.replace("%", "%%"), count))


@functools.lru_cache(maxsize=64)
def colon_style(sql: str, count: int) -> str:
    r"""Return ``sql`` with ``:p1``, ``:p2``..., every other colon escaped as ``\:``."""
    before, *rest = _between(sql.replace(":", r"\:"), count)
    return before + "".join(f":p{n}{text}" for n, text in enumerate(rest, 1))


def _between(sql: str, count: int) -> list[str]:
    # From the last one on: the name of a schema may have $1 in it.
    texts: list[str] = []
    for n in range(count, 0, -1):
        sql, mark, after = sql.rpartition(f"${n}")
        assert mark, f"the statement has no ${n}"
        texts.append(after)
    return [sql, *reversed(texts)]
