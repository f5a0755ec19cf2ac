"""What became of each test, read from what pytest noted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

__all__ = ["ENDED_WELL", "Notes", "Result", "read"]

ENDED_WELL = frozenset({0, 1, 5})  # all passed, some failed, none was selected
_WORST = ("passed", "skipped", "failed")


@dataclass(frozen=True, slots=True)
class Result:
    """``outcome`` is passed, skipped or failed; ``log`` is empty unless it failed."""

    outcome: str
    seconds: float = 0.0
    log: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """The results of one pytest, by the ids of tests, and what broke besides."""

    results: Mapping[str, Result]
    broken: tuple[str, ...] = ()


def read(lines: Iterable[str], code: int) -> Notes:
    """Put the phases of each test together; ``code`` is the exit code of that pytest.

    An end that the notes do not explain (a crash, a collection that failed) is broken.
    """
    results: dict[str, Result] = {}
    broken: list[str] = []
    for line in lines:
        said = json.loads(line)
        if "broken" in said:
            broken.append(said["broken"])
            continue
        new = Result(said["outcome"], said["seconds"], said["log"])
        old = results.get(said["test"])
        results[said["test"]] = new if old is None else _both(old, new)
    failed = any(result.outcome == "failed" for result in results.values())
    if not broken and (code not in ENDED_WELL or (code == 1 and not failed)):
        broken.append(f"pytest ended with exit code {code}")
    return Notes(results, tuple(broken))


def _both(one: Result, other: Result) -> Result:
    return replace(
        one,
        outcome=max(one.outcome, other.outcome, key=_WORST.index),
        seconds=one.seconds + other.seconds,
        log="\n".join(filter(None, (one.log, other.log))),
    )
