"""Which tasks run too often for a line about each job; times are handed in."""

from __future__ import annotations

from pgqueue.worker.run.frequency import LINES_A_SECOND, SILENT_SECONDS, Frequency


def lines(frequency: Frequency, second: float, often: int) -> int:
    """How many of so many within this second get a line."""
    return sum(frequency.passes(second + n / often) for n in range(often))


def test_every_one_of_a_few_gets_a_line() -> None:
    few = Frequency(most=10)
    assert [lines(few, second, 10) for second in range(5)] == [10] * 5


def test_with_too_many_there_is_silence_for_a_while() -> None:
    many = Frequency(most=10)
    assert [lines(many, second, 1000) for second in range(9)] == [10, *[0] * 8]
    assert lines(many, 0.02 + SILENT_SECONDS, 1000) == 10
    assert lines(many, 1.0 + SILENT_SECONDS, 5) == 0


def test_who_runs_seldom_again_is_heard_again() -> None:
    once = Frequency(most=10)
    assert lines(once, 0, 1000) == 10
    assert lines(once, 1 + SILENT_SECONDS, 5) == 5
    assert once.silent_until < 1 + SILENT_SECONDS


def test_a_time_before_the_last_one_is_of_the_same_second() -> None:
    odd = Frequency(most=2)
    assert [odd.passes(at) for at in (10.0, 3.0, 10.5, 4.0)] == [True, True, False, False]


def test_a_second_counts_a_few_hundred() -> None:
    assert 100 < LINES_A_SECOND < 1000
    some = Frequency()
    assert lines(some, 0, LINES_A_SECOND) == lines(some, 1, LINES_A_SECOND) == LINES_A_SECOND
