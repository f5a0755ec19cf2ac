"""What a worker holds by its own account, compared with what the database says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgqueue.db.faults import Rejected
from pgqueue.errors import OutcomeUnknown, Unreachable
from pgqueue.outcome import RELEASED, Dead, Snoozed
from pgqueue.worker.claim.unread import is_unread, took_nothing, verdict
from pgqueue.worker.fleet.holdings import Holdings, Receipts
from pgqueue.worker.receipt import Entry
from pgqueue.worker.timings import TIMINGS

LATER = float("inf")


class Worker:
    """Holdings, and what the runner and the completer of a worker would say."""

    def __init__(self) -> None:
        self.runs: Receipts = set()
        self.unwritten: Receipts = set()
        self.released: list[Entry] = []
        runner = SimpleNamespace(receipts=lambda: self.runs)
        completer = SimpleNamespace(
            receipts=lambda: self.unwritten, add=lambda entry: self.released.append(entry)
        )
        self.holdings = Holdings(runner=cast("Any", runner), completer=cast("Any", completer))

    def look(self, *receipts: tuple[int, int], began: float = LATER) -> list[tuple[int, int]]:
        """Compare with what the database says; return what is released."""
        self.released.clear()
        rows: list[Any] = [
            {
                "id": job, "claim_token": token, "queue": "q", "position": job, "task": "t",
                "flow": None, "attempt": 1,
            }
            for job, token in receipts
        ]  # fmt: skip
        self.holdings.compare(rows, began)
        return [(entry.id, entry.token) for entry in self.released]


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_what_runs_or_waits_to_be_written_is_kept(worker: Worker) -> None:
    worker.runs, worker.unwritten = {(1, 10)}, {(2, 10)}
    for _ in range(3):
        assert worker.look((1, 10), (2, 10)) == []
    assert not worker.holdings.in_doubt


def test_what_is_missing_at_two_looks_is_released(worker: Worker) -> None:
    worker.runs = {(1, 10)}
    assert worker.look((1, 10), (2, 11)) == []
    assert worker.holdings.in_doubt
    assert worker.look((1, 10), (2, 11)) == [(2, 11)]
    assert worker.released[0].outcome is RELEASED
    assert worker.released[0].position == 2


def test_what_ended_while_the_rows_were_on_their_way_is_not(worker: Worker) -> None:
    """The first look saw it run, and the second does not see it any more."""
    assert worker.look((1, 10)) == []
    assert worker.look() == []
    assert worker.look((1, 10)) == [], "it was not missing before"


def test_a_look_that_began_before_a_job_was_missing_proves_nothing(worker: Worker) -> None:
    """Both looks were sent while the worker's loop was blocked, and the job ended meanwhile."""
    assert worker.look((1, 10), began=0.0) == []
    assert worker.look((1, 10), began=0.0) == []
    assert worker.look((1, 10)) == [(1, 10)]


def test_a_claim_on_its_way_holds_what_it_may_bring(worker: Worker) -> None:
    worker.holdings.begin(10)
    for _ in range(3):
        assert worker.look((1, 10)) == []
    worker.runs = {(1, 10)}
    worker.holdings.end(10, took=True)
    assert worker.look((1, 10)) == []


def test_another_receipt_of_a_job_that_runs_here_waits_for_its_end(worker: Worker) -> None:
    """Somebody changed the token by hand: released now, it would run twice at a time."""
    worker.runs = {(1, 10)}
    for _ in range(3):
        assert worker.look((1, 99)) == []
    worker.runs = set()
    assert worker.look((1, 99)) == []
    assert worker.look((1, 99)) == [(1, 99)]


def test_a_lost_claim_is_released_at_the_first_look(worker: Worker) -> None:
    worker.holdings.lose(10, 7, 10.0)
    assert worker.holdings.unsettled
    assert worker.holdings.workers(8) == [7, 8]
    assert worker.look((1, 10), (2, 10), began=0.0) == [(1, 10), (2, 10)]
    assert not worker.holdings.unsettled
    assert worker.holdings.workers(8) == [8]
    assert worker.holdings.workers(None) == []


def test_a_lost_claim_that_took_nothing_is_looked_for_until_the_server_gave_it_up(
    worker: Worker,
) -> None:
    worker.holdings.lose(10, 7, 1000.0)
    worker.look(began=0.0)
    assert worker.holdings.unsettled
    worker.look(began=LATER)
    assert not worker.holdings.unsettled


def test_the_outcome_of_a_lost_claim_is_that_of_its_jobs(worker: Worker) -> None:
    worker.holdings.lose(10, 7, 10.0, Dead("no", None))
    worker.look((1, 10))
    assert worker.released[0].outcome == Dead("no", None)


def test_what_is_not_settled_when_a_worker_has_stopped_stays_so(worker: Worker) -> None:
    """It does not sign off then: its jobs are for others to rescue."""
    worker.holdings.lose(10, 7, 0.0)
    worker.holdings.close()
    assert worker.look((1, 10)) == []
    assert worker.holdings.unsettled


def test_a_worker_with_nothing_is_at_rest_until_something_comes(worker: Worker) -> None:
    holdings = worker.holdings
    assert not holdings.at_rest, "it has not looked yet"
    worker.look()
    assert holdings.at_rest
    holdings.begin(10)
    holdings.end(10, took=False)
    assert holdings.at_rest
    holdings.begin(11)
    holdings.end(11, took=True)
    assert not holdings.at_rest
    worker.look()
    holdings.lose(12, 7, 10.0)
    assert not holdings.at_rest
    worker.unwritten = {(1, 1)}
    worker.look(began=LATER)
    assert not holdings.at_rest


@pytest.mark.parametrize(
    ("took", "wait"),
    [
        (0.0, 2.0),
        (0.001, 2.0),
        (0.003, 6.0),  # in a fleet of a hundred, each walks over what all run
        (0.1, 15.0),
        (2.0, 40.0),
    ],
)
def test_looks_that_cost_much_are_rarer(took: float, wait: float) -> None:
    assert TIMINGS.reconcile.pause(took, every=2.0, lease=15.0) == pytest.approx(wait)


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


class Refusal(Exception):
    sqlstate = "57014"


@pytest.mark.parametrize(
    ("error", "nothing", "unread"),
    [
        (MemoryError(), False, True),
        (OverflowError("date value out of range"), False, True),
        (caused(Rejected("year 20000"), ValueError("year 20000")), False, True),
        (caused(Rejected("bad"), Refusal()), True, False),
        (Unreachable("no connection"), True, False),
        (OutcomeUnknown("lost"), False, False),
        (caused(OutcomeUnknown("ended"), Refusal()), False, False),
        (OSError("odd"), False, False),
    ],
    ids=repr,
)
def test_how_a_claim_failed(error: Exception, nothing: bool, unread: bool) -> None:
    assert took_nothing(error) == nothing
    assert is_unread(error) == unread


def test_a_row_that_cannot_be_read_is_dead_and_one_without_room_waits() -> None:
    dead = verdict(OverflowError("date value out of range"))
    assert isinstance(dead, Dead)
    assert dead.reason == "its row cannot be read: OverflowError: date value out of range"
    waits = verdict(MemoryError())
    assert isinstance(waits, Snoozed)
    assert waits.delay >= 20
