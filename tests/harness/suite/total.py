"""``python -m tests.harness.suite.total DIR...``: the summary of several runs, and their verdict.

Three unsteady tests in all of them fail, as do three in one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.harness.suite.report import Run, as_text, last_line
from tests.harness.suite.verdict import Verdict, too_many

__all__ = ["total"]


def total(
    runs: Sequence[Run],
    *,
    passed: Sequence[str] = (),
    failed: Sequence[str] = (),
    seconds: Sequence[tuple[str, float]] = (),
) -> Run:
    """The run that stands for what is no test: checks, and too many unsteady tests in all."""
    broken = list(failed)
    unsteady = [test for run in runs for test in run.verdict.unsteady]
    if too_many(unsteady) and not any(too_many(run.verdict.unsteady) for run in runs):
        broken.append(f"{len(unsteady)} unsteady tests in all")
    verdict = Verdict(passed=len(passed), skipped=0, broken=tuple(broken))
    return Run("besides", verdict, dict(seconds))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.suite.total")
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="of a run's log")
    parser.add_argument("--passed", action="append", default=[], help="a check that passed")
    parser.add_argument("--failed", action="append", default=[], help="a check that failed")
    parser.add_argument("--seconds", action="append", default=[], help="NAME=SECONDS of a part")
    options = parser.parse_args()
    failed = list(options.failed)
    runs: list[Run] = []
    for home in options.runs:
        file = home / "run.json"
        if file.exists():
            runs.append(replace(Run.load(file), name=home.name))
        else:
            failed.append(f"{home.name} left no result")
    words = [text.rpartition("=") for text in options.seconds]
    runs.append(
        total(
            runs,
            passed=options.passed,
            failed=failed,
            seconds=[(name, float(value)) for name, _, value in words],
        )
    )
    print(as_text(runs))
    counts = [run.verdict.counts for run in runs]
    print(last_line(counts))
    return 1 if any(failures for _, failures, _ in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
