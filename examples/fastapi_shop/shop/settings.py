"""What differs between your machine and the servers: environment variables."""

from __future__ import annotations

import os

__all__ = ["DATABASE_URL", "WORKER"]

DATABASE_URL = os.environ["DATABASE_URL"]

# For development: run jobs beside the requests. In production the worker is a process of its own.
WORKER = os.environ.get("SHOP_WORKER") == "1"
