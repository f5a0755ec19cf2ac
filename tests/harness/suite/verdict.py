"""Whether a run of the suite passes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tests.harness.suite.results import Result

__all__ = ["WORTH_A_TRY", "Verdict", "anywhere", "failures", "judge", "remember", "too_many"]

TOO_MANY = 3  # unsteady tests
WORTH_A_TRY = 20  # failures; where there are more, running them again teaches nothing


@dataclass(frozen=True, slots=True)
class Verdict:
    """``failed`` tests failed again; ``unsteady`` ones passed twice; ``again`` are those of
    the unsteady that were so in their last run, too; ``broken`` says what else went wrong."""

    passed: int
    skipped: int
    failed: tuple[str, ...] = ()
    unsteady: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def refused(self) -> tuple[str, ...]:
        """The unsteady tests that count as failed."""
        return self.unsteady if too_many(self.unsteady) else self.again

    @property
    def counts(self) -> tuple[int, int, int]:
        """Passed, failed, skipped, as the last line says; with a failure the run fails."""
        failed = len(self.failed) + len(self.refused) + len(self.broken)
        return self.passed + len(self.unsteady) - len(self.refused), failed, self.skipped


def too_many(unsteady: Sequence[str]) -> bool:
    """Say whether so many unsteady tests fail a run."""
    return len(unsteady) >= TOO_MANY


def anywhere(test: str) -> str:
    """The id of a test without its version of PostgreSQL: it is the same one on the next."""
    return re.sub(r"\bpg\d+\b", "pg", test)


def failures(results: Mapping[str, Result]) -> list[str]:
    """The tests that failed."""
    return [test for test, result in results.items() if result.outcome == "failed"]


def judge(
    first: Mapping[str, Result],
    tries: Sequence[Mapping[str, Result]],
    *,
    broken: Sequence[str] = (),
    record: Collection[str] = (),
) -> Verdict:
    """Judge a run by the first results, those of each further try, and the record of unsteady
    tests. Without a further try a failure is a failure."""
    unsteady: list[str] = []
    failed: list[str] = []
    for test in failures(first):
        ended = [results[test].outcome if test in results else "" for results in tries]
        steady = bool(ended) and all(outcome == "passed" for outcome in ended)
        (unsteady if steady else failed).append(test)
    outcomes = [result.outcome for result in first.values()]
    return Verdict(
        passed=outcomes.count("passed"),
        skipped=outcomes.count("skipped"),
        failed=tuple(failed),
        unsteady=tuple(unsteady),
        again=tuple(test for test in unsteady if anywhere(test) in record),
        broken=tuple(broken),
    )


def remember(
    record: Collection[str], first: Mapping[str, Result], verdict: Verdict
) -> frozenset[str]:
    """The new record: a test that was run and was steady is forgotten; one not run is kept."""
    ran = {anywhere(test) for test in first}
    return frozenset(record) - ran | {anywhere(test) for test in verdict.unsteady}
