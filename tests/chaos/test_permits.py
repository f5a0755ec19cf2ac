"""The rules for queues with limits, on stories made up by hand."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.findings import Findings
from chaos.permits import Grant, Pace, Spell, judge_pace, judge_permits, judge_spells
from chaos.windows import Windows

NEVER = Windows()


def grant(worker: int, n: int, *, at: float = 0.0, most: int | None = 2) -> Grant:
    return Grant(at, "narrow", worker, n, most)


def left(worker: int, *, at: float = 0.0) -> Grant:
    return Grant(at, None, worker, 0, None)


def permits(*grants: Grant) -> set[str]:
    findings = Findings()
    judge_permits(grants, findings)
    return set(findings.violations)


def test_permits_are_never_more_than_the_limit() -> None:
    assert permits(grant(1, 1), grant(2, 1), grant(1, 0), grant(2, 2)) == set()
    assert permits(grant(1, 1), grant(2, 2)) == {"I31"}
    assert permits(grant(1, 3, most=None)) == set()


def test_permits_of_a_worker_that_is_gone_are_void() -> None:
    assert permits(grant(1, 2), left(1), grant(2, 2)) == set()
    assert permits(grant(1, 2), left(3), grant(2, 1)) == {"I31"}


def test_who_keeps_permits_of_a_limit_that_was_lowered_gets_no_more() -> None:
    before = (grant(1, 2, most=4), grant(2, 2, most=4))
    assert permits(*before, grant(1, 1, most=1)) == set()
    assert permits(*before, grant(1, 1, most=1), grant(1, 2, most=1)) == {"I31"}
    # It may have read the limit just before that was lowered.
    assert permits(grant(1, 1, most=4), grant(2, 2, most=1)) == set()


def spells(
    grants: Sequence[Grant], *times: tuple[int, float, float], forgotten: Windows = NEVER
) -> set[str]:
    findings = Findings()
    mine = [Spell(n, *values) for n, values in enumerate(times)]
    judge_spells(mine, grants, forgotten, findings)
    return set(findings.violations)


def test_a_worker_runs_no_more_than_it_has_permits() -> None:
    two = [grant(1, 2, at=1.0)]
    assert spells(two, (1, 1.1, 2.0), (1, 1.2, 2.0), (1, 2.1, 3.0)) == set()
    assert spells(two, (1, 1.1, 2.0), (1, 1.2, 2.0), (1, 1.3, 3.0)) == {"I32"}
    assert spells(two, (2, 1.1, 2.0)) == {"I32"}
    assert spells(two, (1, 0.5, 2.0)) == {"I32"}


def test_what_a_worker_gave_back_or_lost_counts_no_more() -> None:
    given = [grant(1, 2, at=1.0), grant(1, 1, at=5.0), left(1, at=9.0)]
    assert spells(given, (1, 4.0, 5.5), (1, 6.0, 7.0), (1, 7.1, 8.0)) == set()
    assert spells(given, (1, 6.0, 7.0), (1, 6.1, 7.0)) == {"I32"}
    assert spells(given, (1, 9.5, 9.6)) == {"I32"}
    assert spells(given, (1, 9.5, 9.6), forgotten=Windows([(8.0, 9.0)])) == set()


def pace(
    starts: Sequence[float], *rates: tuple[float, float | None, int], slow: Windows = NEVER
) -> set[str]:
    findings = Findings()
    judge_pace(starts, [Pace(*rate) for rate in rates], slow, NEVER, findings)
    return set(findings.violations)


def every(seconds: float, count: int, since: float = 10.0) -> list[float]:
    return [since + n * seconds for n in range(count)]


def test_starts_stay_within_the_rate() -> None:
    ten = (0.0, 10.0, 3)
    assert pace(every(0.1, 200), ten) == set()
    assert pace(every(0.05, 200), ten) == {"I33"}
    assert pace([10.0] * 10 + every(0.1, 50, 11.0), ten) == set()
    assert pace([10.0] * 11, ten) == {"I33"}


def test_a_rate_that_changes_is_counted_anew() -> None:
    changed = ((0.0, 10.0, 1), (12.0, 100.0, 1), (14.0, 10.0, 1))
    assert pace([*every(0.1, 20), *every(0.01, 200, 12.0), *every(0.1, 20, 16.0)], *changed) == (
        set()
    )
    assert pace(every(0.05, 100, 16.0), *changed) == {"I33"}


def test_nothing_is_demanded_where_no_rate_is_known_or_a_loop_was_blocked() -> None:
    assert pace([10.0] * 50, (0.0, None, 1)) == set()
    assert pace([10.0] * 50) == set()
    assert pace([10.0] * 50, (0.0, 10.0, 1), slow=Windows([(9.5, 10.5)])) == set()
