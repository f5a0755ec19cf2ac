"""The demo's SQL, one statement a file."""

from __future__ import annotations

import functools
from importlib import resources

__all__ = ["sql"]


@functools.cache
def sql(name: str) -> str:
    """Return the statement in ``sql/<name>.sql``."""
    return resources.files("pgqueue.demo").joinpath("sql", f"{name}.sql").read_text("utf-8")
