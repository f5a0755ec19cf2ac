"""What keeps a job from running, in sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgqueue.admin.waiting import AHEAD_BOUND, Facts, reasons

READY = Facts(
    state="pending", queue="mail", task="send", attempt=0, max_attempts=25, cancel_requested=False,
    due_in=-3.0, expired=False, paused_at=None, ahead=0, live=3, serving=2, knowing=2, free=1,
)  # fmt: skip
LATER = replace(READY, state="scheduled", due_in=40.2)
OVERDUE = "it has been due for 2 s, and no worker has made it ready yet"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (READY, ("it is next: a free worker takes it at once",)),
        (replace(READY, state="running", paused_at=datetime.now(UTC)), ()),
        (replace(READY, ahead=1), ('1 job is before it in queue "mail"',)),
        (replace(READY, ahead=16), ('16 jobs are before it in queue "mail"',)),
        (replace(READY, ahead=AHEAD_BOUND), ('at least 1000 jobs are before it in queue "mail"',)),
        (replace(READY, free=0), ("all 2 workers that could run it are busy",)),
        (replace(READY, free=0, knowing=1), ("the one worker that could run it is busy",)),
        (replace(READY, live=0, ahead=7), ("no live worker",)),
        (replace(READY, serving=0), ('no live worker serves queue "mail"',)),
        (replace(READY, knowing=0),
         ('no live worker that serves queue "mail" knows task "send"',)),
        (replace(READY, paused_at=datetime(2026, 11, 30, 9, 5, tzinfo=UTC)),
         ('queue "mail" was paused at 2026-11-30 09:05:00+00:00',)),
        (replace(READY, expired=True), ("it has expired: it is cancelled when a worker takes it",)),
        (replace(READY, cancel_requested=True),
         ("its cancellation was asked for: whoever takes it ends it",)),
        (LATER, ("it is due in 40 s",)),
        (replace(LATER, attempt=2), ("it is due in 40 s, for attempt 3 of 25",)),
        (replace(LATER, due_in=-2.0), (OVERDUE,)),
        (replace(LATER, due_in=-2.0, live=0), (OVERDUE, "no live worker")),
        (replace(LATER, misfits=2),
         ("its arguments did not fit the last worker that had it: it waits for another",
          "it is due in 40 s")),
        (replace(READY, state="blocked", due_in=None),
         ("its run_at is infinity, so it never comes due",)),
    ],
)  # fmt: skip
def test_what_is_said(facts: Facts, said: tuple[str, ...]) -> None:
    assert reasons(facts) == said
