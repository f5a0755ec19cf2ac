"""Spells the canonical ``$1`` as other drivers want it."""

from __future__ import annotations

import functools

__all__ = ["colon_style", "percent_style"]


@functools.lru_cache(maxsize=64)
def percent_style(sql: str) -> str:
    """Return ``sql`` with ``%s``, every other percent sign doubled."""
    before, after = _around(sql.replace("%", "%%"))
    return f"{before}%s{after}"


@functools.lru_cache(maxsize=64)
def colon_style(sql: str) -> str:
    r"""Return ``sql`` with ``:text``, every other colon escaped as ``\:``."""
    before, after = _around(sql.replace(":", r"\:"))
    return f"{before}:text{after}"


def _around(sql: str) -> tuple[str, str]:
    # the last one: the name of a schema may have $1 in it
    before, mark, after = sql.rpartition("$1")
    assert mark, "the statement has no $1"
    return before, after
