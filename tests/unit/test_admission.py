"""Which claimed jobs do not run, and what becomes of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pgqueue.errors import PayloadError
from pgqueue.outcome import CANCELLED, RELEASED, Dead, Outcome, Snoozed
from pgqueue.worker.lease import Lease
from pgqueue.worker.run.admission import Admission, Refused
from pgqueue.worker.run.expiry import Expiry, seconds_left
from pgqueue.worker.run.misfits import after

ROW: Any = {
    "id": 1, "args": "{}", "attempt": 1, "max_attempts": 3, "crash_count": 0,
    "refused": None,
}  # fmt: skip
WHOLE: Any = {**ROW, "args": '{"x": 1}'}
QUARANTINED: Any = {**ROW, "crash_count": 2, "attempt": 5}
LARGE: Any = {**ROW, "args": None}


@pytest.mark.parametrize(
    ("claimed", "now", "over"),
    [
        (10.0, 12.9, False),
        (10.0, 13.0, True),
        (None, 0.0, True),  # so long ago that nobody knows
    ],
)
def test_a_job_has_the_time_that_its_claim_left_it(
    claimed: float | None, now: float, over: bool
) -> None:
    expiry = Expiry()
    if claimed is not None:
        expiry.claimed(7, claimed)
    for token in range(100, 1099):
        expiry.claimed(token, 20.0)
    assert expiry.is_over(3.0, 7, now) is over


def test_what_a_claim_says_of_a_job_that_expires_later() -> None:
    assert seconds_left("in 12.5") == 12.5
    assert seconds_left("in 1e-05") == 1e-05
    assert seconds_left("expired") is None


class Database:
    """What is asked of the database: each answer is given, each question kept."""

    def __init__(self, *, marked: bool | None = True, whole: Any = WHOLE) -> None:
        self.marked, self.whole = marked, whole
        self.asked: list[str] = []
        self.lease = Lease()
        self.lease.hold(0.0, math.inf)
        self.loses_lease = False

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.loses_lease:
            self.lease.lose()

    async def quarantine(self, job_id: int, token: int) -> bool | None:
        self._answer("quarantine")
        return self.marked

    async def begin(self, job_id: int, token: int) -> bool | None:
        self._answer("begin")
        return self.marked

    async def read(self, job_id: int, token: int) -> Any:
        self._answer("read")
        return self.whole

    async def judge(self, record: Any, error: PayloadError) -> Any:
        self._answer("judge")
        return after(0, error)

    async def admit(self, row: Any) -> Any:
        """Return the job as it may run, its outcome, or None if that is another's."""
        parts: dict[str, Any] = {"marks": self, "large": self, "misfits": self}
        admission = Admission(lease=self.lease, **parts)
        try:
            return await admission.admit(row, 7)
        except Refused as refused:
            return refused.verdict and refused.verdict.outcome


@pytest.mark.parametrize(
    ("row", "admitted", "asked"),
    [
        (ROW, ROW, []),
        ({**ROW, "crash_count": 1}, {**ROW, "crash_count": 1}, []),
        (QUARANTINED, QUARANTINED, ["quarantine"]),
        (LARGE, WHOLE, ["read"]),
        ({**QUARANTINED, "args": None}, WHOLE, ["quarantine", "read"]),
    ],
)
async def test_who_may_run(row: Any, admitted: Any, asked: list[str]) -> None:
    database = Database()
    assert await database.admit(row) == admitted
    assert database.asked == asked


async def test_who_has_no_attempts_left_is_dead_and_who_was_cancelled_is_so() -> None:
    """Nobody is asked."""
    database = Database()
    assert isinstance(await database.admit({**LARGE, "attempt": 4}), Dead)
    assert await database.admit({**LARGE, "refused": "cancelled"}) is CANCELLED
    assert isinstance(await database.admit({**ROW, "attempt": 4, "refused": "cancelled"}), Dead)
    assert database.asked == []


async def test_who_was_interrupted_is_dead_and_who_expired_is_cancelled() -> None:
    database = Database()
    dead = await database.admit({**ROW, "refused": "interrupted"})
    assert isinstance(dead, Dead)
    assert 'on_crash is "dead"' in dead.reason
    assert await database.admit({**ROW, "refused": "expired"}) is CANCELLED


@pytest.mark.parametrize(("marked", "outcome"), [(None, RELEASED), (False, None)])
async def test_a_quarantined_job_that_was_not_marked(
    marked: bool | None, outcome: Outcome | None
) -> None:
    database = Database(marked=marked)
    assert await database.admit({**QUARANTINED, "args": None}) is outcome
    assert database.asked == ["quarantine"]


@pytest.mark.parametrize("whole", [None, Dead("it cannot be read", None), Snoozed(3.0)])
async def test_arguments_that_cannot_be_had(whole: Outcome | None) -> None:
    assert await Database(whole=whole).admit(LARGE) is whole


@pytest.mark.parametrize("row", [QUARANTINED, LARGE])
async def test_none_runs_whose_lease_ended_meanwhile(row: Any) -> None:
    database = Database()
    database.loses_lease = True
    assert await database.admit(row) is RELEASED


@pytest.mark.parametrize(("marked", "loses"), [(None, False), (True, True)])
async def test_a_note_of_a_job_that_was_not_run_is_taken_away(
    marked: bool | None, loses: bool
) -> None:
    """A release would leave it, and the next claim would say that the job was interrupted."""
    database = Database(marked=marked)
    database.loses_lease = loses
    parts: dict[str, Any] = dict.fromkeys(("marks", "large", "misfits"), database)
    with pytest.raises(Refused) as refused:
        await Admission(lease=database.lease, **parts).begin(ROW, 7)
    assert refused.value.verdict is not None
    assert isinstance(refused.value.verdict.outcome, Snoozed)


async def test_arguments_that_do_not_fit_wait_for_another_worker() -> None:
    database = Database()
    parts: dict[str, Any] = dict.fromkeys(("marks", "large", "misfits"), database)
    admission = Admission(lease=database.lease, **parts)
    refused = await admission.misfit(ROW, PayloadError("no such parameter"))
    assert refused.verdict is not None
    assert isinstance(refused.verdict.outcome, Snoozed)
