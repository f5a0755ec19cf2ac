"""How a job's task is made: from Python 3.12 on it makes its first step at once (eager tasks)."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

__all__ = ["EAGER", "START", "YIELD_EVERY", "NewTask"]

EAGER = sys.version_info >= (3, 12)

# Without a name, Python 3.11 formats one for each task.
START: dict[str, Any] = {"eager_start": True} if EAGER else {"name": "job"}

NewTask: Any = asyncio.Task  # its types are those of the oldest Python

YIELD_EVERY = 64 if EAGER else 512
"""After so many jobs the loop has a turn. On 3.11 the number of slots is the bound: each job keeps
its slot until the next turn."""
