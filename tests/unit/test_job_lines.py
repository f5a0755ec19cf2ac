"""What the log says about one job: values from values."""

from __future__ import annotations

import logging

import pytest

from pgqueue.failure import MISFIT, Failure
from pgqueue.outcome import CANCELLED, RELEASED, Dead, Outcome, RetryAt, Snoozed
from pgqueue.worker.run.job_lines import Times, completed, ended
from pgqueue.worker.run.verdict import Verdict

JOB = {"id": 7, "task": "mail", "queue": "slow", "attempt": 2, "max_attempts": 5}
TIMES = Times(0.25, 1.5)
NO = Failure("ValueError", "no\nway", "Traceback")
FIELDS = {"job_id": 7, "task": "mail", "queue": "slow", "attempt": 2, "wait": 0.25, "duration": 1.5}


def test_a_completed_job() -> None:
    line = completed(JOB, TIMES)
    said = "job 7 (mail) completed in 1.500 s, attempt 2 of 5, after a wait of 0.250 s"
    assert line.message % line.args == said
    assert line.fields == {**FIELDS, "outcome": "completed"}
    assert line.level == logging.INFO


def test_a_wait_that_nobody_knows_is_left_out() -> None:
    line = completed(JOB, Times(None, 1.5))
    assert line.message % line.args == "job 7 (mail) completed in 1.500 s, attempt 2 of 5"
    assert "wait" not in line.fields


@pytest.mark.parametrize(
    ("outcome", "failure", "level", "said"),
    [
        (RetryAt(30, NO), NO, logging.WARNING,
         "job 7 (mail) failed in attempt 2 of 5 after 1.500 s: ValueError: no; retry in 30 s"),
        (Dead("failed 2 times", NO), NO, logging.ERROR,
         "job 7 (mail) failed in attempt 2 of 5 after 1.500 s: ValueError: no; "
         "dead: failed 2 times"),
        (Dead("no attempts left", None), None, logging.ERROR,
         "job 7 (mail) dead after 1.500 s in attempt 2 of 5, no attempts left"),
        (Snoozed(60), NO, logging.INFO,
         "job 7 (mail) snoozed after 1.500 s in attempt 2 of 5, for 60 s: no"),
        (Snoozed(60), Failure(MISFIT, "no", ""), logging.DEBUG,
         "job 7 (mail) snoozed after 1.500 s in attempt 2 of 5, for 60 s: no"),
        (CANCELLED, None, logging.INFO, "job 7 (mail) cancelled after 1.500 s in attempt 2 of 5"),
        (RELEASED, None, logging.INFO,
         "job 7 (mail) released after 1.500 s in attempt 2 of 5, this attempt does not count"),
    ],
)  # fmt: skip
def test_what_an_attempt_came_to(
    outcome: Outcome, failure: Failure | None, level: int, said: str
) -> None:
    line = ended(JOB, Verdict(outcome, failure), TIMES)
    assert line is not None
    assert line.message % line.args == said
    assert line.level == level
    assert line.fields.items() >= FIELDS.items()
    assert line.is_failure == (isinstance(outcome, Dead | RetryAt) and failure is not None)
