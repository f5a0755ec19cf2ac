"""Where the database is."""

from __future__ import annotations

import os

__all__ = ["DATABASE_URL"]

DATABASE_URL = os.environ["DATABASE_URL"]
