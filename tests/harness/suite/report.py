"""One run as a file, and as a text for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.harness.suite.results import Result
from tests.harness.suite.verdict import Verdict, too_many

__all__ = ["Run", "as_text", "last_line", "slowest"]

_SLOWEST = 10


@dataclass(frozen=True, slots=True)
class Run:
    """``seconds``: of each part. ``slow``: seconds and id of the slowest tests. ``logs``: where
    the output of each test that failed is."""

    name: str
    verdict: Verdict
    seconds: Mapping[str, float] = field(default_factory=dict)
    slow: Sequence[tuple[float, str]] = ()
    logs: Mapping[str, str] = field(default_factory=dict)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> Self:
        said: dict[str, Any] = json.loads(file.read_text())
        verdict = {k: tuple(v) if isinstance(v, list) else v for k, v in said["verdict"].items()}
        slow = [(seconds, test) for seconds, test in said["slow"]]
        return cls(**(said | {"verdict": Verdict(**verdict), "slow": slow}))


def slowest(results: Mapping[str, Result]) -> list[tuple[float, str]]:
    """The ten slowest tests."""
    timed = ((round(result.seconds, 1), test) for test, result in results.items())
    return sorted(timed, reverse=True)[:_SLOWEST]


def last_line(counts: Iterable[tuple[int, int, int]]) -> str:
    """The sums of passed, failed and skipped, in words that programs read as well."""
    passed, failed, skipped = (sum(column) for column in zip((0, 0, 0), *counts, strict=True))
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def as_text(runs: Sequence[Run]) -> str:
    """What was slow, what was unsteady, what failed; and the seconds of each part."""
    lines = ["", "seconds of each part:"]
    for run in runs:
        for part, seconds in run.seconds.items():
            lines.append(f"{seconds:7.0f}  {run.name}: {part}")
    slow = sorted((pair for run in runs for pair in run.slow), reverse=True)[:_SLOWEST]
    if slow:
        lines += ["", "the slowest tests, in seconds:"]
        lines += [f"{seconds:7.1f}  {test}" for seconds, test in slow]
    for run in runs:
        lines += _troubles(run)
    if len(runs) > 1:
        lines += ["", *(f"{run.name}: {last_line([run.verdict.counts])}" for run in runs)]
    return "\n".join([*lines, ""])


def _troubles(run: Run) -> list[str]:
    verdict = run.verdict
    lines: list[str] = []
    if verdict.unsteady:
        lines += ["", f"{run.name}: unsteady, failed once and passed twice when run again alone:"]
        lines += [f"  {test}  ({run.logs.get(test)})" for test in verdict.unsteady]
    if too_many(verdict.unsteady):
        lines += [f"  so many of them fail the run: {len(verdict.unsteady)}"]
    elif verdict.again:
        lines += ["  unsteady in the run before as well, so failed:"]
        lines += [f"  {test}" for test in verdict.again]
    if verdict.failed:
        lines += ["", f"{run.name}: failed:"]
        lines += [f"  {test}  ({run.logs.get(test)})" for test in verdict.failed]
    if verdict.broken:
        lines += ["", f"{run.name}: broken:", *(f"  {what}" for what in verdict.broken)]
    return lines
