"""Connections of the programs' own, which end when their session does."""

from __future__ import annotations

from typing import Any

import psycopg

__all__ = ["connect"]


def connect(dsn: str, **more: Any) -> psycopg.Connection[Any]:
    """Connect; where the word of an end is lost, keepalives find out."""
    return psycopg.connect(
        dsn,
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=3,
        keepalives_count=5,
        **more,
    )
