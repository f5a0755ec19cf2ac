"""Which tasks run too often for a line about each job; times are handed in."""

from __future__ import annotations

from pgqueue.worker.run.frequency import LINES_A_SECOND, Frequency


def lines(frequency: Frequency, second: int, often: int) -> int:
    """How many of so many within this second get a line."""
    return sum(frequency.passes(second + n / often) for n in range(often))


def test_every_one_of_a_few_gets_a_line() -> None:
    often = Frequency(most=10)
    assert [lines(often, second, 10) for second in range(5)] == [10] * 5


def test_after_a_second_with_too_many_there_is_silence_until_they_are_few() -> None:
    often = Frequency(most=10)
    assert [lines(often, second, 1000) for second in range(4)] == [10, 0, 0, 0]
    assert lines(often, 4, 5) == 0, "nobody knows yet that they are few"
    assert lines(often, 5, 5) == 5


def test_after_a_rest_the_first_ones_get_a_line() -> None:
    often = Frequency(most=10)
    assert lines(often, 0, 1000) == 10
    assert lines(often, 60, 1000) == 10


def test_a_time_before_the_last_one_is_of_the_same_second() -> None:
    often = Frequency(most=2)
    assert [often.passes(at) for at in (10.0, 3.0, 10.5, 4.0)] == [True, True, False, False]


def test_a_second_counts_a_few_hundred() -> None:
    assert 100 < LINES_A_SECOND < 1000
    often = Frequency()
    assert lines(often, 0, LINES_A_SECOND) == lines(often, 1, LINES_A_SECOND) == LINES_A_SECOND
