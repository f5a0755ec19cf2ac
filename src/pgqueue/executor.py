"""Where the jobs of a task run: in the worker, or in child processes of it, with which limits."""

from __future__ import annotations

import re
from typing import Literal

from pgqueue.errors import ConfigError, shown

__all__ = ["Executor", "RunsIn", "check_executor", "check_memory", "memory_text"]

Executor = Literal["process"]
"""``process``: a child process of the worker, which may be killed. Not given: in the worker."""

RunsIn = Literal["loop", "thread", "process"]
"""The event loop of the worker, a thread of it, or a child process of it."""

_LEAST = 16_000_000
_UNITS = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip


def check_executor(value: object, memory: object) -> tuple[Executor | None, int | None]:
    """Return the executor, and the memory in bytes that one of its jobs may use."""
    if value is not None and value != "process":
        raise ConfigError(
            f'executor must be "process", got {shown(value)}; without it a job runs in the worker: '
            "a task with async on its event loop, another one in a thread"
        )
    if memory is None:
        return ("process" if value else None), None
    if value is None:
        raise ConfigError(
            "memory limits a process, and the jobs of this task share one with others; "
            'give executor="process" as well'
        )
    return "process", check_memory(memory)


def check_memory(value: object) -> int:
    """Return an amount of memory in bytes: "1GB" (10^9), "512MiB" (2^20 each), or a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        text = value.upper() if isinstance(value, str) else ""
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?) ?([A-Z]+)", text)
        if found is None or found[2] not in _UNITS:
            raise ConfigError(
                f'memory must be bytes, or a text such as "1GB" or "512MB", got {shown(value)}'
            )
        size = int(float(found[1]) * _UNITS[found[2]])
    if size < _LEAST:
        raise ConfigError(
            f"memory must be at least 16MB, which Python itself takes, got {shown(value)}"
        )
    return size


def memory_text(size: int) -> str:
    """Return an amount of memory for people."""
    unit, name = (10**9, "GB") if size >= 10**9 else (10**6, "MB")
    return f"{size / unit:.3g} {name}" if size < 1000 * unit else f"{size / unit:.0f} {name}"
