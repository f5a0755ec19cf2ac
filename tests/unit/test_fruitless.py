"""A process that can write nothing, though its heartbeats are answered, gives itself up."""

from __future__ import annotations

import errno

import pytest

from pgqueue.db.faults import Contended, Rejected, as_ours
from pgqueue.errors import DatabaseError, OutcomeUnknown, SchemaError, Unreachable
from pgqueue.worker.finish.fruitless import Fruitless, is_own_fault
from pgqueue.worker.lease import Lease

DSN = "postgresql://host/name"
LOST = FileNotFoundError(errno.ENOENT, "no such file", "finish_jobs.sql")


class Process:
    def __init__(self) -> None:
        self.lease = Lease()
        self.lease.renewing_since = 0.0
        self.gave_up: list[BaseException] = []
        self.fruitless = Fruitless(15.0, self.lease)

    def fail(self, *moments: float, why: BaseException = LOST) -> bool:
        for moment in moments:
            error = self.fruitless.failed(why, 7, moment)
            if error is not None:
                self.gave_up.append(error)
        return bool(self.gave_up)


@pytest.fixture
def process() -> Process:
    return Process()


def test_it_gives_up_after_a_lease_without_a_write(process: Process) -> None:
    assert not process.fail(*range(100, 116))
    assert process.fail(116)
    text = str(process.gave_up[0])
    assert "none of its 7 outcomes for 16 s" in text
    assert "finish_jobs.sql" in text


def test_a_write_that_succeeds_begins_the_count_anew(process: Process) -> None:
    assert not process.fail(*range(100, 115))
    process.fruitless.wrote()
    assert not process.fail(*range(115, 130))


def test_a_blocked_loop_is_not_a_process_that_cannot_write(process: Process) -> None:
    """It tried twice in a minute."""
    assert not process.fail(100, 160)


def test_an_outage_is_not_its_own_fault(process: Process) -> None:
    """While heartbeats fail as well, others would do no better."""
    for moment in range(100, 400):
        process.lease.renewing_since = moment - 1.0
        assert not process.fail(moment)


def test_what_the_database_refuses_another_process_could_not_write_either(
    process: Process,
) -> None:
    assert not process.fail(*range(100, 200), why=Contended("history is locked"))


class Refusal(Exception):
    sqlstate = "53300"


def too_many() -> Exception:
    error = as_ours(Refusal("too many clients"), DSN, connecting=True)
    error.__cause__ = Refusal("too many clients")
    return error


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (LOST, True),
        (MemoryError(), True),
        (Unreachable("no descriptor left"), True),
        (OutcomeUnknown("the connection was lost"), True),
        (Rejected("a value"), False),
        (Contended("a lock"), False),
        (SchemaError("no table"), False),
        (too_many(), False),
        (DatabaseError("odd"), True),
    ],
    ids=repr,
)
def test_whose_fault_it_is(error: Exception, own: bool) -> None:
    assert is_own_fault(error) == own
