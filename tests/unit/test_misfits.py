"""What a job comes to whose arguments do not fit: ever later tries, then a dead letter."""

from __future__ import annotations

import pytest

from pgqueue import PayloadError
from pgqueue.failure import MISFIT
from pgqueue.outcome import Dead, Snoozed
from pgqueue.worker.run.misfits import after
from pgqueue.worker.timings import TIMINGS

DELAYS = TIMINGS.misfits

ERROR = PayloadError('task "mail": $.n: stored arguments do not fit: is missing', path="$.n")


@pytest.mark.parametrize("earlier", range(len(DELAYS)))
def test_each_try_is_later_and_leaves_an_entry_that_others_count(earlier: int) -> None:
    delays: set[float] = set()
    for _ in range(50):
        verdict = after(earlier, ERROR)
        assert isinstance(verdict.outcome, Snoozed)
        delays.add(verdict.outcome.delay)
        assert verdict.outcome.failure is not None
        assert verdict.outcome.failure.type == MISFIT
        assert "$.n" in verdict.outcome.failure.message
    assert DELAYS[earlier] * 0.8 <= min(delays) < max(delays) <= DELAYS[earlier] * 1.2


@pytest.mark.parametrize("more", [0, 1, 100])
def test_after_the_last_it_is_dead_with_the_reason(more: int) -> None:
    verdict = after(len(DELAYS) + more, ERROR)
    assert isinstance(verdict.outcome, Dead)
    assert "$.n: stored arguments do not fit: is missing" in verdict.outcome.reason
    assert verdict.failure is not None
    assert verdict.failure.type != MISFIT
