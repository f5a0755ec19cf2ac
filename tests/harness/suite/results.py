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
    """The results of one pytest, by the ids of tests, what broke besides, and which tests of those
    that were collected have no result."""

    results: Mapping[str, Result]
    broken: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def broken_by(self, what: str) -> Notes:
        """Return these notes with one more thing that broke."""
        return replace(self, broken=(*self.broken, what))

    def and_then(self, rest: Notes) -> Notes:
        """Return these notes with those of another pytest, which ran what is missing here."""
        left = tuple(test for test in self.missing if test not in rest.results)
        return Notes({**self.results, **rest.results}, (*self.broken, *rest.broken), left)


def read(lines: Iterable[str], code: int) -> Notes:
    """Put the phases of each test together; ``code`` is the exit code of that pytest.

    A test that neither failed nor came to its last phase has no result. An end that the notes do
    not explain (a crash, a collection that failed) is broken.
    """
    results: dict[str, Result] = {}
    broken: list[str] = []
    collected: dict[str, None] = {}
    over: set[str] = set()
    for line in lines:
        said = json.loads(line)
        if "broken" in said:
            broken.append(said["broken"])
            continue
        if "collected" in said:
            collected |= dict.fromkeys(said["collected"])
            continue
        new = Result(said["outcome"], said["seconds"], said["log"])
        old = results.get(said["test"])
        results[said["test"]] = new if old is None else _both(old, new)
        if said["phase"] == "teardown" or new.outcome == "failed":
            over.add(said["test"])
    results = {test: result for test, result in results.items() if test in over}
    failed = any(result.outcome == "failed" for result in results.values())
    if not broken and (code not in ENDED_WELL or (code == 1 and not failed)):
        broken.append(f"pytest ended with exit code {code}")
    missing = tuple(test for test in collected if test not in results)
    return Notes(results, tuple(broken), missing)


def _both(one: Result, other: Result) -> Result:
    return replace(
        one,
        outcome=max(one.outcome, other.outcome, key=_WORST.index),
        seconds=one.seconds + other.seconds,
        log="\n".join(filter(None, (one.log, other.log))),
    )
