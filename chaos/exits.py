"""Worker processes that ended out of order, as the log of their supervisor has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Block", "Exit", "ended_blocked", "exits"]

_GUARD = (
    "a job blocks the event loop, so the worker cannot stop; its jobs are released, "
    "and the process ends"
)
_LINE = re.compile(
    rf"^\S+ error pgqueue\.worker (?P<guard>{re.escape(_GUARD)})$"
    r"|^(?P<at>\S+) error pgqueue\.supervisor process \d+ \(pid (?P<pid>\d+)\) "
    r"(?:left without.*|ended with exit code (?P<code>\d+)(?:: (?P<why>.*))?)$",
    re.MULTILINE,
)
_GUARD_CODE = "1"
_LAST_SECONDS = 6.0  # the guard probes and releases; histories have a line each second

Block = tuple[str, float | None]
"""The process of a job that blocks its loop, and when the block was over."""


@dataclass(frozen=True, slots=True)
class Exit:
    """``at``: seconds since 1970. ``why``: what the process said. ``guarded``: it said nothing but
    that its guard ends it, because a job blocks its event loop during a stop."""

    line: str
    at: float
    pid: int
    code: str | None
    why: str | None
    guarded: bool


def exits(log: str) -> Iterator[Exit]:
    """Yield the ends that a supervisor complains about. One word of a guard is for one end."""
    words = 0
    for found in _LINE.finditer(log):
        if found["guard"]:
            words += 1
            continue
        guarded = words > 0 and found["code"] == _GUARD_CODE and found["why"] is None
        words -= guarded
        at = datetime.fromisoformat(found["at"]).timestamp()
        yield Exit(found[0], at, int(found["pid"]), found["code"], found["why"], guarded)


def ended_blocked(
    role: str,
    pid: int,
    moments: Iterable[float],
    blocks: Iterable[Block],
    last: Mapping[str, float],
) -> bool:
    """True if a job blocked the loop of this process when it ended, at one of these moments.

    ``last``: when each process wrote its last line.
    """
    mine = [
        last[process]
        for process, over in blocks
        if process.rsplit("-", 1)[0] == f"{role}-{pid}"
        and (over is None or over > last[process] - _LAST_SECONDS)
    ]
    return any(abs(moment - end) < _LAST_SECONDS for moment in moments for end in mine)
